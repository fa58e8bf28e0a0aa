"""The endpoints of imports, as clients of Rocket.Chat know them: https://developer.rocket.chat/apidocs (imports)."""

import asyncio
import base64
import binascii
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final, Protocol

import msgspec
from aiohttp import web

from downloadd.api.answers import answer, permission_missing
from downloadd.api.bodies import QueryForm
from downloadd.api.body_reader import BodyReader
from downloadd.api.call import Call
from downloadd.api.import_bodies import (
    LONGEST_TYPE,
    ChannelEntry,
    Counted,
    CurrentOperation,
    FileDataAnswer,
    Flag,
    ImportFailure,
    Progress,
    ProgressCount,
    PublicFileBody,
    RawUploadQuery,
    SelectionBody,
    UploadBody,
    UserEntry,
    Waiting,
    entry_of,
)
from downloadd.api.json_body import decode_body
from downloadd.errors import (
    BodyTooSlowError,
    DownloadError,
    InsufficientStorageError,
    InvalidParameterError,
    NotFoundError,
    ShuttingDownError,
    StorageError,
    StoreUnavailableError,
)
from downloadd.imports.importers import kind_of
from downloadd.imports.importing import FileData
from downloadd.imports.refusal import ImportRefusedError, RefusalCode
from downloadd.imports.selection import parse_selection
from downloadd.operation import TITLES, Kind, Operation, Selection

RAW_FORM: Final = QueryForm(RawUploadQuery)


class ImportEngine(Protocol):
    """Imports, as the API sees them."""

    @property
    def directory(self) -> str:
        """Where the files of imports go, below the storage root."""
        ...

    async def upload(
        self, kind: Kind, pieces: AsyncIterator[bytes], *, user: str, name: str, content_type: str | None
    ) -> Operation:
        """Keeps an uploaded file."""
        ...

    async def fetch(self, kind: Kind, url: str, *, user: str) -> Operation:
        """Fetches the file of an import."""
        ...

    async def file_data(self, user: str) -> FileData | None:
        """What is in the user's current file; None while that is being found out."""
        ...

    async def start(self, selection: Selection, *, user: str) -> Operation:
        """Makes the files and avatars of a selection pending."""
        ...

    async def download_pending(self, kind: Kind, *, user: str) -> int:
        """Starts to fetch pending files or avatars."""
        ...

    async def cancel(self, id: str, *, user: str) -> Operation:
        """Ends an operation and its downloads."""
        ...

    async def current(self, user: str) -> Operation | None:
        """The user's newest operation."""
        ...

    async def latest(self) -> list[Operation]:
        """Those that were updated last."""
        ...


Answerer = Callable[[Call], Awaitable[web.StreamResponse]]


class ImportEndpoints:
    """What can be asked of imports.

    `allow` says whether the daemon may fetch at all, `may_import` whether a user may put files where imports go.
    """

    def __init__(
        self,
        *,
        engine: ImportEngine,
        reader: BodyReader,
        allow: Callable[[], bool],
        may_import: Callable[[str], bool],
    ) -> None:
        self._engine = engine
        self._reader = reader
        self._allow = allow
        self._may_import = may_import

    async def upload(self, call: Call) -> web.StreamResponse:
        """`POST /api/v1/uploadImportFile`: the file in base64."""

        async def work() -> web.Response:
            body = decode_body(await self._reader.read_json(call.request), UploadBody)
            kind = kind_of(body.importer_key)
            try:
                content = base64.b64decode(body.binary_content, validate=True)
            except (binascii.Error, ValueError):
                raise ImportRefusedError("binaryContent is no base64", RefusalCode.INVALID_PARAMS) from None
            await self._engine.upload(
                kind, _pieces(content), user=call.user.id, name=body.file_name, content_type=body.content_type
            )
            return answer(Flag(success=True))

        return await _in_its_manner(work)

    async def upload_raw(self, call: Call) -> web.StreamResponse:
        """`POST /api/v1/imports?importerKey=&fileName=`: the file as it is, streamed to the disk."""

        async def work() -> web.Response:
            query = RAW_FORM.read(call.query)
            content_type = call.request.headers.get("Content-Type")
            if len(content_type or "") > LONGEST_TYPE:
                raise InvalidParameterError("Content-Type", f"longer than {LONGEST_TYPE} characters")
            operation = await self._engine.upload(
                kind_of(query.importerKey),
                self._reader.pieces(call.request),
                user=call.user.id,
                name=query.fileName,
                content_type=content_type,
            )
            return answer(CurrentOperation(operation=entry_of(operation), success=True), status=201)

        return await _in_its_manner(work)

    async def fetch(self, call: Call) -> web.StreamResponse:
        """`POST /api/v1/downloadPublicImportFile`."""

        async def work() -> web.Response:
            if not self._may_import(call.user.id):
                return permission_missing()
            body = decode_body(await self._reader.read_json(call.request), PublicFileBody)
            self._require_allowed()
            await self._engine.fetch(kind_of(body.importer_key), body.file_url, user=call.user.id)
            return answer(Flag(success=True))

        return await _in_its_manner(work)

    async def file_data(self, call: Call) -> web.StreamResponse:
        """`GET /api/v1/getImportFileData`."""

        async def work() -> web.Response:
            data = await self._engine.file_data(call.user.id)
            if data is None:
                return answer(Waiting(waiting=True, success=True))
            # There may be many thousands.
            return await asyncio.to_thread(lambda: answer(file_data_answer(data)))

        return await _in_its_manner(work)

    async def progress(self, call: Call) -> web.StreamResponse:
        """`GET /api/v1/getImportProgress`."""

        async def work() -> web.Response:
            operation = await self._engine.current(call.user.id)
            if operation is None:
                raise ImportRefusedError("there is no import; upload a file first", RefusalCode.NOT_READY)
            return answer(progress_of(operation))

        return await _in_its_manner(work)

    async def start(self, call: Call) -> web.StreamResponse:
        """`POST /api/v1/startImport`."""

        async def work() -> web.Response:
            body = decode_body(await self._reader.read_json(call.request), SelectionBody)
            await self._engine.start(parse_selection(body.input), user=call.user.id)
            return answer(Flag(success=True))

        return await _in_its_manner(work)

    async def pending_files(self, call: Call) -> web.StreamResponse:
        """`POST /api/v1/downloadPendingFiles`."""
        return await self._download_pending(call, Kind.PENDING_FILES)

    async def pending_avatars(self, call: Call) -> web.StreamResponse:
        """`POST /api/v1/downloadPendingAvatars`."""
        return await self._download_pending(call, Kind.PENDING_AVATARS)

    async def current(self, call: Call) -> web.StreamResponse:
        """`GET /api/v1/getCurrentImportOperation`."""

        async def work() -> web.Response:
            operation = await self._engine.current(call.user.id)
            return answer(CurrentOperation(operation=None if operation is None else entry_of(operation), success=True))

        return await _in_its_manner(work)

    async def latest(self, call: Call) -> web.StreamResponse:
        """`GET /api/v1/getLatestImportOperations`: a bare array."""

        async def work() -> web.Response:
            return answer(msgspec.json.encode([entry_of(operation) for operation in await self._engine.latest()]))

        return await _in_its_manner(work)

    async def cancel(self, call: Call) -> web.StreamResponse:
        """`DELETE /api/v1/imports/{id}`."""

        async def work() -> web.Response:
            operation = await self._engine.cancel(call.id, user=call.user.id)
            return answer(CurrentOperation(operation=entry_of(operation), success=True))

        # The id is that of no download.
        call.download_id = None
        return await _in_its_manner(work)

    async def _download_pending(self, call: Call, kind: Kind) -> web.StreamResponse:
        async def work() -> web.Response:
            if not self._may_import(call.user.id):
                return permission_missing()
            self._require_allowed()
            return answer(Counted(success=True, count=await self._engine.download_pending(kind, user=call.user.id)))

        return await _in_its_manner(work)

    def _require_allowed(self) -> None:
        if not self._allow():
            raise ImportRefusedError(
                "Server is not configured to allow downloading from URLs; start it with --allow-download",
                RefusalCode.NOT_READY,
            )


async def _in_its_manner(work: Callable[[], Awaitable[web.Response]]) -> web.Response:
    """What the work answers; a refusal becomes the 400 that clients of Rocket.Chat know."""
    try:
        return await work()
    except ImportRefusedError as refused:
        return _refusal(refused.sentence, refused.code)
    except (
        NotFoundError,
        InsufficientStorageError,
        StorageError,
        StoreUnavailableError,
        ShuttingDownError,
        BodyTooSlowError,
    ):
        raise
    except DownloadError as error:
        return _refusal(error.detail, RefusalCode.INVALID_PARAMS)


def _refusal(sentence: str, code: RefusalCode) -> web.Response:
    return answer(ImportFailure(error=f"{sentence} [{code}]", error_type=code), status=400)


def progress_of(operation: Operation) -> Progress:
    """How far an operation has come."""
    return Progress(
        key=operation.kind.value,
        name=TITLES[operation.kind],
        step=operation.status,
        count=ProgressCount(
            completed=operation.tally.completed, total=operation.tally.total, error=operation.tally.failed
        ),
        success=True,
    )


def file_data_answer(data: FileData) -> FileDataAnswer:
    """What is in a file, in the shape that a selection is sent back in."""
    return FileDataAnswer(
        users=[
            UserEntry(
                user_id=person.user_id,
                username=person.username,
                email=person.email,
                is_deleted=person.is_deleted,
                is_bot=person.is_bot,
                do_import=chosen,
                is_email_taken=False,
            )
            for person, chosen in data.people
        ],
        channels=[
            ChannelEntry(
                channel_id=channel.channel_id,
                name=channel.name,
                is_archived=channel.is_archived,
                do_import=chosen,
                is_private=channel.is_private,
                is_direct=channel.is_direct,
            )
            for channel, chosen in data.channels
        ],
        message_count=data.message_count,
        success=True,
    )


async def _pieces(content: bytes) -> AsyncIterator[bytes]:
    yield content
