"""`/api/v1/downloads`: all active downloads, many starts at once, and what can be done to one download."""

import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import msgspec
from aiohttp import web
from msgspec import UNSET

from downloadd.clock import Clock
from downloadd.download import Download, Snapshot
from downloadd.download_request import DownloadRequest, make_download_request
from downloadd.errors import ERRORS, DownloadError, ErrorCode, InvalidParameterError, NotFoundError
from downloadd.fronts.rest.body_reader import BodyReader
from downloadd.fronts.rest.directory import select_status
from downloadd.fronts.rest.entries import (
    make_active_entry,
    make_active_response,
    make_history_entry,
    make_history_response,
    make_start_response,
)
from downloadd.fronts.rest.idempotency import read_idempotency_key
from downloadd.fronts.rest.json_body import decode_body
from downloadd.fronts.rest.listing import list_active_page
from downloadd.fronts.rest.query_decoding import QueryDecoder, describe_validation_error
from downloadd.fronts.rest.request_context import RequestContext
from downloadd.fronts.rest.responses import encode, forbidden_response, json_response, permission_missing_response
from downloadd.fronts.rest.schemas import (
    AmendBody,
    BatchBody,
    BatchItem,
    BatchResponse,
    ListingQuery,
    UncheckedBatchBody,
)
from downloadd.fronts.rest.service import DownloadService
from downloadd.manager.manager import DownloadChange
from downloadd.records.protocol import StoredResponse
from downloadd.states import FINISHED

QUERY_DECODER: Final = QueryDecoder(ListingQuery)

_QUEUE_FULL: Final = ERRORS[ErrorCode.QUEUE_FULL].status
_ID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class DownloadEndpoints:
    """What can be asked of downloads by their ids, or of all.

    `is_enabled` says whether the daemon may fetch at all, `can_use_directory` whether the user of an id may start and change downloads
    in a directory; a batch is refused whole when one of its directories is closed to the user.
    """

    def __init__(
        self,
        *,
        service: DownloadService,
        reader: BodyReader,
        clock: Clock,
        is_enabled: Callable[[], bool],
        can_use_directory: Callable[[str, str], bool],
    ) -> None:
        self._service = service
        self._reader = reader
        self._clock = clock
        self._is_enabled = is_enabled
        self._can_use_directory = can_use_directory

    async def listing(self, context: RequestContext) -> web.Response:
        """`GET /api/v1/downloads`: what is active, oldest first."""
        return await list_active_page(self._service, context, QUERY_DECODER.decode(context.query))

    async def batch(self, context: RequestContext) -> web.Response:
        """`POST /api/v1/downloads`: many starts in one durable transaction, one result each, in order."""
        if not self._is_enabled():
            return forbidden_response()
        body = await self._reader.read_json(context.request)
        idempotency_key = read_idempotency_key(
            context.request.headers, user=context.user.id, method="POST", target=context.request.raw_path, body=body
        )
        download_requests = read_download_requests(body)
        if not all(
            self._can_use_directory(context.user.id, download_request.directory)
            for download_request in download_requests
        ):
            return permission_missing_response()
        make_stored_response: Callable[[Sequence[Download]], StoredResponse | None] | None = None
        if idempotency_key is not None:
            key = idempotency_key

            def make_stored_response(downloads: Sequence[Download]) -> StoredResponse | None:
                result = make_batch_response(downloads)
                if select_batch_status(result) == _QUEUE_FULL:
                    # Nothing was accepted, and the same request is meant to succeed later.
                    return None
                return key.to_stored_response(select_batch_status(result), encode(result), created=self._clock.wall())

        started = await self._service.start(
            download_requests,
            user=context.user.id,
            request_id=context.request_id,
            make_stored_response=make_stored_response,
        )
        if started.replayed is not None:
            return json_response(started.replayed.body, status=started.replayed.status)
        result = make_batch_response(started.downloads)
        response = json_response(result, status=select_batch_status(result))
        if response.status == _QUEUE_FULL:
            response.headers["Retry-After"] = str(self._service.retry_after())
        return response

    async def show(self, context: RequestContext) -> web.Response:
        """`GET /api/v1/downloads/{id}`: the listing's entry, or the history's once it has ended."""
        snapshot = await self._service.get(download_id(context))
        row = snapshot.download
        return json_response(make_history_entry(row) if row.state in FINISHED else make_active_entry(snapshot))

    async def cancel(self, context: RequestContext) -> web.Response:
        """`DELETE /api/v1/downloads/{id}`: cancels it and removes what has come."""
        if not await self._can_change(context):
            return permission_missing_response()
        return json_response(
            make_history_response(await self._service.cancel(download_id(context)), "Download cancelled")
        )

    async def amend(self, context: RequestContext) -> web.Response:
        """`PATCH /api/v1/downloads/{id}`: changes priority, speed limit or URL."""
        id = download_id(context)
        changes = decode_body(await self._reader.read_json(context.request), AmendBody)
        if changes == AmendBody():
            raise InvalidParameterError("body", "expected at least one of priority, speed_limit, url")
        if changes.url is not UNSET and not self._is_enabled():
            return forbidden_response()
        if not await self._can_change(context):
            return permission_missing_response()
        snapshot = await self._service.amend(
            id,
            DownloadChange(
                priority=None if changes.priority is UNSET else changes.priority,
                speed_limit=None if changes.speed_limit is UNSET else changes.speed_limit,
                url=None if changes.url is UNSET else changes.url,
            ),
        )
        return make_action_response(snapshot, "Download changed")

    async def pause(self, context: RequestContext) -> web.Response:
        """`POST /api/v1/downloads/{id}/pause`."""
        if not await self._can_change(context):
            return permission_missing_response()
        return make_action_response(await self._service.pause(download_id(context)), "Download paused")

    async def resume(self, context: RequestContext) -> web.Response:
        """`POST /api/v1/downloads/{id}/resume`."""
        return await self._reactivate(context, self._service.resume, "Download resumed")

    async def retry(self, context: RequestContext) -> web.Response:
        """`POST /api/v1/downloads/{id}/retry`."""
        return await self._reactivate(context, self._service.retry, "Download will be tried again")

    async def _reactivate(
        self, context: RequestContext, action: Callable[[str], Awaitable[Snapshot]], message: str
    ) -> web.Response:
        if not self._is_enabled():
            return forbidden_response()
        if not await self._can_change(context):
            return permission_missing_response()
        return make_action_response(await action(download_id(context)), message)

    async def _can_change(self, context: RequestContext) -> bool:
        """Whether the user may change the download of the path.

        Raises:
            NotFoundError: there is none.
        """
        snapshot = await self._service.get(download_id(context))
        return self._can_use_directory(context.user.id, snapshot.download.request.directory)


def download_id(context: RequestContext) -> str:
    """The id in the path.

    Raises:
        NotFoundError: it is none, so no download can have it.
    """
    if not _ID.fullmatch(context.id):
        context.download_id = None
        raise NotFoundError("no download has this id")
    return context.id


def make_action_response(snapshot: Snapshot, message: str) -> web.Response:
    """What a verb answers: the entry as it is now, with what was done."""
    row = snapshot.download
    return json_response(
        make_history_response(row, message) if row.state in FINISHED else make_active_response(snapshot, message)
    )


def make_batch_response(downloads: Sequence[Download]) -> BatchResponse:
    """One result for each download."""
    results = [make_start_response(download) for download in downloads]
    return BatchResponse(downloads=results, success=all(result.success for result in results))


def select_batch_status(result: BatchResponse) -> int:
    """201 when at least one was accepted, else the status of the first refusal."""
    return 201 if any(one.success for one in result.downloads) else select_status(result.downloads[0])


def read_download_requests(body: bytes) -> list[DownloadRequest]:
    """The orders of a batch. An item with a `url` that is wrong elsewhere becomes a download request with a problem.

    Raises:
        InvalidParameterError: the body is no batch, or an item is not an object with a `url`.
    """
    try:
        return [make_download_request(item) for item in decode_body(body, BatchBody).downloads]
    except InvalidParameterError:
        # Perhaps only some of the items are wrong: read them one by one.
        items = decode_body(body, UncheckedBatchBody).downloads
    return [_make_unchecked_request(item, f"downloads[{number}]") for number, item in enumerate(items)]


def _make_unchecked_request(item: Any, name: str) -> DownloadRequest:
    try:
        return make_download_request(msgspec.convert(item, BatchItem))
    except msgspec.ValidationError as error:
        problem: DownloadError = describe_validation_error(error, root=name)
    if not isinstance(item, dict) or not isinstance(item.get("url"), str):
        raise problem
    directory, filename = item.get("directory"), item.get("filename")
    return DownloadRequest(
        url=item["url"],
        directory=directory if isinstance(directory, str) else "",
        filename=filename if isinstance(filename, str) else None,
        problem=problem,
    )
