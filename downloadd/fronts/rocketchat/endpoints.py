"""Endpoints of imports, for clients of Rocket.Chat: https://developer.rocket.chat/apidocs (imports)."""

import base64
import binascii
from collections.abc import AsyncIterator, Sequence
from typing import Final, Protocol

import msgspec
from aiohttp import web

from downloadd.errors import InvalidParameterError
from downloadd.fronts.rest.body_reader import BodyReader
from downloadd.fronts.rest.json_body import decode_body
from downloadd.fronts.rest.query_decoding import QueryDecoder, parameter_names
from downloadd.fronts.rest.request_context import RequestContext
from downloadd.fronts.rest.responses import json_response
from downloadd.fronts.rest.target import Query, make_next_link
from downloadd.fronts.rocketchat.errors import with_rocket_chat_errors
from downloadd.fronts.rocketchat.file_data import send_file_data
from downloadd.fronts.rocketchat.schemas import (
    MAX_MEDIA_TYPE_CHARACTERS,
    CancelImportQuery,
    CountResponse,
    CurrentOperation,
    PendingQuery,
    PublicFileBody,
    RawUploadQuery,
    SelectionBody,
    SkippedQuery,
    SkippedResponse,
    SuccessResponse,
    UploadBody,
    WaitingResponse,
)
from downloadd.fronts.rocketchat.selection import parse_selection
from downloadd.fronts.rocketchat.translation import make_import_progress, make_operation_entry, make_skipped_item
from downloadd.import_operation import (
    PENDING_AVATARS,
    PENDING_FILES,
    ImportErrorCode,
    ImportOperation,
    PendingRequest,
    Selection,
    SkippedEntry,
)
from downloadd.imports.refusal import ImportRefusedError
from downloadd.imports.selection import FileData
from downloadd.instants import parse_instant
from downloadd.users import User

RAW_DECODER: Final = QueryDecoder(RawUploadQuery)
PENDING_DECODER: Final = QueryDecoder(PendingQuery)
PENDING_PARAMETERS: Final = frozenset(parameter_names(PendingQuery))
CANCEL_DECODER: Final = QueryDecoder(CancelImportQuery)
SKIPPED_DECODER: Final = QueryDecoder(SkippedQuery)


class ImportService(Protocol):
    """The part of the import service that the endpoints use; it checks the rights of users."""

    def authorize_upload(self, user: User) -> None:
        """Check the right to write to the directory of imports."""
        ...

    async def upload(
        self, importer_key: str, pieces: AsyncIterator[bytes], *, user: User, name: str, content_type: str | None
    ) -> ImportOperation:
        """Store an uploaded file."""
        ...

    async def fetch(self, importer_key: str, url: str, *, user: User) -> ImportOperation:
        """Start a download of an import file."""
        ...

    async def file_data(self, user: User) -> FileData | None:
        """Return the content of the user's current file; None while it is being read."""
        ...

    async def start(self, selection: Selection, *, user: User) -> ImportOperation:
        """Make the files and avatars of a selection pending."""
        ...

    async def download_pending(self, request: PendingRequest, *, user: User) -> int:
        """Start to download pending files or avatars."""
        ...

    async def skipped(self, id: str, *, after: int, limit: int, user: User) -> Sequence[tuple[int, SkippedEntry]]:
        """Return parts of an import that are not imported."""
        ...

    async def cancel(self, id: str, *, give_up: bool = False, user: User) -> ImportOperation:
        """End an operation and its downloads; give up the files that are not completed if asked to."""
        ...

    async def current(self, user: User) -> ImportOperation | None:
        """Return the user's newest operation."""
        ...

    async def latest(self, user: User) -> list[ImportOperation]:
        """Return the operations that were updated last."""
        ...


class ImportEndpoints:
    """Handlers of import requests."""

    def __init__(self, *, service: ImportService, reader: BodyReader) -> None:
        self._service = service
        self._reader = reader

    @with_rocket_chat_errors
    async def upload(self, context: RequestContext) -> web.Response:
        """Respond to `POST /api/v1/uploadImportFile`: the file in base64."""
        body = decode_body(await self._reader.read_json(context.request), UploadBody)
        await self._service.upload(
            body.importer_key,
            _decode_base64(body.binary_content),
            user=context.user,
            name=body.file_name,
            content_type=body.content_type,
        )
        return json_response(SuccessResponse(success=True))

    @with_rocket_chat_errors
    async def upload_raw(self, context: RequestContext) -> web.Response:
        """Respond to `POST /api/v1/imports?importerKey=&fileName=`: the file as content, streamed to the disk."""
        query = RAW_DECODER.decode(context.query)
        content_type = context.request.headers.get("Content-Type")
        if len(content_type or "") > MAX_MEDIA_TYPE_CHARACTERS:
            raise InvalidParameterError("Content-Type", f"longer than {MAX_MEDIA_TYPE_CHARACTERS} characters")
        operation = await self._service.upload(
            query.importerKey,
            self._reader.read_chunks(context.request),
            user=context.user,
            name=query.fileName,
            content_type=content_type,
        )
        return json_response(CurrentOperation(operation=make_operation_entry(operation), success=True), status=201)

    @with_rocket_chat_errors
    async def fetch(self, context: RequestContext) -> web.Response:
        """Respond to `POST /api/v1/downloadPublicImportFile`."""
        self._service.authorize_upload(context.user)
        body = decode_body(await self._reader.read_json(context.request), PublicFileBody)
        await self._service.fetch(body.importer_key, body.file_url, user=context.user)
        return json_response(SuccessResponse(success=True))

    @with_rocket_chat_errors
    async def file_data(self, context: RequestContext) -> web.StreamResponse:
        """Respond to `GET /api/v1/getImportFileData`."""
        data = await self._service.file_data(context.user)
        if data is None:
            return json_response(WaitingResponse(waiting=True, success=True))
        return await send_file_data(context, data)

    @with_rocket_chat_errors
    async def skipped(self, context: RequestContext) -> web.Response:
        """Respond to `GET /api/v1/imports/{id}/skipped`."""
        # The id in the path is not that of a download.
        context.download_id = None
        query = SKIPPED_DECODER.decode(context.query)
        after = 0 if query.cursor is None else int(query.cursor)
        # One more than the limit shows whether there is another page.
        found = await self._service.skipped(context.id, after=after, limit=query.limit + 1, user=context.user)
        shown = found[: query.limit]
        link = make_next_link(context.target, str(shown[-1][0])) if len(found) > len(shown) else ""
        return json_response(
            SkippedResponse(skipped=[make_skipped_item(entry) for _, entry in shown], success=True), link=link
        )

    @with_rocket_chat_errors
    async def progress(self, context: RequestContext) -> web.Response:
        """Respond to `GET /api/v1/getImportProgress`."""
        operation = await self._service.current(context.user)
        if operation is None:
            raise ImportRefusedError("there is no import; upload a file first", ImportErrorCode.WRONG_STATE)
        return json_response(make_import_progress(operation))

    @with_rocket_chat_errors
    async def start(self, context: RequestContext) -> web.Response:
        """Respond to `POST /api/v1/startImport`."""
        body = decode_body(await self._reader.read_json(context.request), SelectionBody)
        await self._service.start(parse_selection(body.input), user=context.user)
        return json_response(SuccessResponse(success=True))

    @with_rocket_chat_errors
    async def pending_files(self, context: RequestContext) -> web.Response:
        """Respond to `POST /api/v1/downloadPendingFiles`."""
        return await self._download_pending(context, PENDING_FILES)

    @with_rocket_chat_errors
    async def pending_avatars(self, context: RequestContext) -> web.Response:
        """Respond to `POST /api/v1/downloadPendingAvatars`."""
        return await self._download_pending(context, PENDING_AVATARS)

    @with_rocket_chat_errors
    async def current(self, context: RequestContext) -> web.Response:
        """Respond to `GET /api/v1/getCurrentImportOperation`."""
        operation = await self._service.current(context.user)
        entry = None if operation is None else make_operation_entry(operation)
        return json_response(CurrentOperation(operation=entry, success=True))

    @with_rocket_chat_errors
    async def latest(self, context: RequestContext) -> web.Response:
        """Respond to `GET /api/v1/getLatestImportOperations` with an array."""
        operations = await self._service.latest(context.user)
        return json_response(msgspec.json.encode([make_operation_entry(operation) for operation in operations]))

    @with_rocket_chat_errors
    async def cancel(self, context: RequestContext) -> web.Response:
        """Respond to `DELETE /api/v1/imports/{id}`."""
        # The id in the path is not that of a download.
        context.download_id = None
        query = CANCEL_DECODER.decode(context.query)
        operation = await self._service.cancel(context.id, give_up=query.give_up, user=context.user)
        return json_response(CurrentOperation(operation=make_operation_entry(operation), success=True))

    async def _download_pending(self, context: RequestContext, kind: str) -> web.Response:
        # Clients of Rocket.Chat may send parameters of their own.
        known = {name: text for name, text in context.query.values.items() if name in PENDING_PARAMETERS}
        query = PENDING_DECODER.decode(Query(values=known))
        not_before = None if query.not_before is None else _read_instant(query.not_before)
        request = PendingRequest(kind=kind, operation=query.operation, retry=query.retry, not_before=not_before)
        count = await self._service.download_pending(request, user=context.user)
        return json_response(CountResponse(success=True, count=count))


def _read_instant(value: str | float) -> float:
    try:
        return parse_instant(value)
    except ValueError as error:
        raise InvalidParameterError("not_before", str(error)) from None


async def _decode_base64(text: str) -> AsyncIterator[bytes]:
    try:
        content = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ImportRefusedError("binaryContent is not base64", ImportErrorCode.INVALID_PARAMETER) from None
    yield content
