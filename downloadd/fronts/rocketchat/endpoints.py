"""The endpoints of imports, as clients of Rocket.Chat know them: https://developer.rocket.chat/apidocs (imports)."""

import asyncio
import base64
import binascii
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final, Protocol

import msgspec
from aiohttp import web

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
from downloadd.fronts.rest.body_reader import BodyReader
from downloadd.fronts.rest.json_body import decode_body
from downloadd.fronts.rest.query_decoding import QueryDecoder
from downloadd.fronts.rest.request_context import RequestContext
from downloadd.fronts.rest.responses import json_response, permission_missing_response
from downloadd.fronts.rocketchat.schemas import (
    MAX_MEDIA_TYPE_CHARACTERS,
    ChannelEntry,
    CountResponse,
    CurrentOperation,
    FileDataResponse,
    ImportErrorResponse,
    ImportProgress,
    ProgressCount,
    PublicFileBody,
    RawUploadQuery,
    SelectionBody,
    SuccessResponse,
    UploadBody,
    UserEntry,
    WaitingResponse,
    make_operation_entry,
)
from downloadd.import_operation import KIND_TITLES, ImportKind, ImportOperation, Selection
from downloadd.imports.importers import parse_importer_key
from downloadd.imports.refusal import ImportRefusedError, RefusalCode
from downloadd.imports.selection import parse_selection
from downloadd.imports.service import FileData

RAW_DECODER: Final = QueryDecoder(RawUploadQuery)


class ImportService(Protocol):
    """Imports, as the API sees them."""

    @property
    def directory(self) -> str:
        """Where the files of imports go, below the storage root."""
        ...

    async def upload(
        self, kind: ImportKind, pieces: AsyncIterator[bytes], *, user: str, name: str, content_type: str | None
    ) -> ImportOperation:
        """Keeps an uploaded file."""
        ...

    async def fetch(self, kind: ImportKind, url: str, *, user: str) -> ImportOperation:
        """Fetches the file of an import."""
        ...

    async def file_data(self, user: str) -> FileData | None:
        """What is in the user's current file; None while that is being found out."""
        ...

    async def start(self, selection: Selection, *, user: str) -> ImportOperation:
        """Makes the files and avatars of a selection pending."""
        ...

    async def download_pending(self, kind: ImportKind, *, user: str) -> int:
        """Starts to fetch pending files or avatars."""
        ...

    async def cancel(self, id: str, *, user: str) -> ImportOperation:
        """Ends an operation and its downloads."""
        ...

    async def current(self, user: str) -> ImportOperation | None:
        """The user's newest operation."""
        ...

    async def latest(self) -> list[ImportOperation]:
        """Those that were updated last."""
        ...


Handler = Callable[[RequestContext], Awaitable[web.StreamResponse]]


class ImportEndpoints:
    """What can be asked of imports.

    `is_enabled` says whether the daemon may fetch at all, `can_import` whether a user may put files where imports go.
    """

    def __init__(
        self,
        *,
        service: ImportService,
        reader: BodyReader,
        is_enabled: Callable[[], bool],
        can_import: Callable[[str], bool],
    ) -> None:
        self._service = service
        self._reader = reader
        self._is_enabled = is_enabled
        self._can_import = can_import

    async def upload(self, context: RequestContext) -> web.StreamResponse:
        """`POST /api/v1/uploadImportFile`: the file in base64."""

        async def handle() -> web.Response:
            body = decode_body(await self._reader.read_json(context.request), UploadBody)
            kind = parse_importer_key(body.importer_key)
            try:
                content = base64.b64decode(body.binary_content, validate=True)
            except (binascii.Error, ValueError):
                raise ImportRefusedError("binaryContent is no base64", RefusalCode.INVALID_PARAMS) from None
            await self._service.upload(
                kind, _yield_once(content), user=context.user.id, name=body.file_name, content_type=body.content_type
            )
            return json_response(SuccessResponse(success=True))

        return await _with_rocket_chat_errors(handle)

    async def upload_raw(self, context: RequestContext) -> web.StreamResponse:
        """`POST /api/v1/imports?importerKey=&fileName=`: the file as it is, streamed to the disk."""

        async def handle() -> web.Response:
            query = RAW_DECODER.decode(context.query)
            content_type = context.request.headers.get("Content-Type")
            if len(content_type or "") > MAX_MEDIA_TYPE_CHARACTERS:
                raise InvalidParameterError("Content-Type", f"longer than {MAX_MEDIA_TYPE_CHARACTERS} characters")
            operation = await self._service.upload(
                parse_importer_key(query.importerKey),
                self._reader.read_chunks(context.request),
                user=context.user.id,
                name=query.fileName,
                content_type=content_type,
            )
            return json_response(CurrentOperation(operation=make_operation_entry(operation), success=True), status=201)

        return await _with_rocket_chat_errors(handle)

    async def fetch(self, context: RequestContext) -> web.StreamResponse:
        """`POST /api/v1/downloadPublicImportFile`."""

        async def handle() -> web.Response:
            if not self._can_import(context.user.id):
                return permission_missing_response()
            body = decode_body(await self._reader.read_json(context.request), PublicFileBody)
            self._require_enabled()
            await self._service.fetch(parse_importer_key(body.importer_key), body.file_url, user=context.user.id)
            return json_response(SuccessResponse(success=True))

        return await _with_rocket_chat_errors(handle)

    async def file_data(self, context: RequestContext) -> web.StreamResponse:
        """`GET /api/v1/getImportFileData`."""

        async def handle() -> web.Response:
            data = await self._service.file_data(context.user.id)
            if data is None:
                return json_response(WaitingResponse(waiting=True, success=True))
            # There may be many thousands.
            return await asyncio.to_thread(lambda: json_response(make_file_data_response(data)))

        return await _with_rocket_chat_errors(handle)

    async def progress(self, context: RequestContext) -> web.StreamResponse:
        """`GET /api/v1/getImportProgress`."""

        async def handle() -> web.Response:
            operation = await self._service.current(context.user.id)
            if operation is None:
                raise ImportRefusedError("there is no import; upload a file first", RefusalCode.NOT_READY)
            return json_response(make_import_progress(operation))

        return await _with_rocket_chat_errors(handle)

    async def start(self, context: RequestContext) -> web.StreamResponse:
        """`POST /api/v1/startImport`."""

        async def handle() -> web.Response:
            body = decode_body(await self._reader.read_json(context.request), SelectionBody)
            await self._service.start(parse_selection(body.input), user=context.user.id)
            return json_response(SuccessResponse(success=True))

        return await _with_rocket_chat_errors(handle)

    async def pending_files(self, context: RequestContext) -> web.StreamResponse:
        """`POST /api/v1/downloadPendingFiles`."""
        return await self._download_pending(context, ImportKind.PENDING_FILES)

    async def pending_avatars(self, context: RequestContext) -> web.StreamResponse:
        """`POST /api/v1/downloadPendingAvatars`."""
        return await self._download_pending(context, ImportKind.PENDING_AVATARS)

    async def current(self, context: RequestContext) -> web.StreamResponse:
        """`GET /api/v1/getCurrentImportOperation`."""

        async def handle() -> web.Response:
            operation = await self._service.current(context.user.id)
            return json_response(
                CurrentOperation(operation=None if operation is None else make_operation_entry(operation), success=True)
            )

        return await _with_rocket_chat_errors(handle)

    async def latest(self, context: RequestContext) -> web.StreamResponse:
        """`GET /api/v1/getLatestImportOperations`: a bare array."""

        async def handle() -> web.Response:
            return json_response(
                msgspec.json.encode([make_operation_entry(operation) for operation in await self._service.latest()])
            )

        return await _with_rocket_chat_errors(handle)

    async def cancel(self, context: RequestContext) -> web.StreamResponse:
        """`DELETE /api/v1/imports/{id}`."""

        async def handle() -> web.Response:
            operation = await self._service.cancel(context.id, user=context.user.id)
            return json_response(CurrentOperation(operation=make_operation_entry(operation), success=True))

        # The id is that of no download.
        context.download_id = None
        return await _with_rocket_chat_errors(handle)

    async def _download_pending(self, context: RequestContext, kind: ImportKind) -> web.StreamResponse:
        async def handle() -> web.Response:
            if not self._can_import(context.user.id):
                return permission_missing_response()
            self._require_enabled()
            return json_response(
                CountResponse(success=True, count=await self._service.download_pending(kind, user=context.user.id))
            )

        return await _with_rocket_chat_errors(handle)

    def _require_enabled(self) -> None:
        if not self._is_enabled():
            raise ImportRefusedError(
                "Server is not configured to allow downloading from URLs; start it with --allow-download",
                RefusalCode.NOT_READY,
            )


async def _with_rocket_chat_errors(handle: Callable[[], Awaitable[web.Response]]) -> web.Response:
    """What the work answers; a refusal becomes the 400 that clients of Rocket.Chat know."""
    try:
        return await handle()
    except ImportRefusedError as refused:
        return _rocket_chat_error(refused.message, refused.code)
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
        return _rocket_chat_error(error.detail, RefusalCode.INVALID_PARAMS)


def _rocket_chat_error(sentence: str, code: RefusalCode) -> web.Response:
    return json_response(ImportErrorResponse(error=f"{sentence} [{code}]", error_type=code), status=400)


def make_import_progress(operation: ImportOperation) -> ImportProgress:
    """How far an operation has come."""
    return ImportProgress(
        key=operation.kind.value,
        name=KIND_TITLES[operation.kind],
        step=operation.status,
        count=ProgressCount(
            completed=operation.file_counts.completed,
            total=operation.file_counts.total,
            error=operation.file_counts.failed,
        ),
        success=True,
    )


def make_file_data_response(data: FileData) -> FileDataResponse:
    """What is in a file, in the shape that a selection is sent back in."""
    return FileDataResponse(
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
            for person, chosen in data.users
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


async def _yield_once(content: bytes) -> AsyncIterator[bytes]:
    yield content
