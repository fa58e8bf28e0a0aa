"""`/api/v1/downloads`: active downloads, batches, and actions on one download."""

import re
from collections.abc import Sequence
from typing import Any, Final

import msgspec
from aiohttp import web
from msgspec import UNSET

from downloadd.download import Download, Snapshot
from downloadd.download_request import DownloadRequest, make_download_request
from downloadd.errors import DownloadError, InvalidParameterError, InvalidStateError, NotFoundError, QueueFullError
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
from downloadd.fronts.rest.item_bodies import CHANGE_PARAMETERS, AmendBody, given_changes, make_download_change
from downloadd.fronts.rest.json_body import decode_body
from downloadd.fronts.rest.listing import list_active_page
from downloadd.fronts.rest.query_decoding import QueryDecoder, describe_validation_error
from downloadd.fronts.rest.request_context import RequestContext
from downloadd.fronts.rest.responses import encode, json_response
from downloadd.fronts.rest.schemas import (
    BatchBody,
    BatchItem,
    BatchResponse,
    CancelQuery,
    ListingQuery,
    RetryBody,
    UncheckedBatchBody,
)
from downloadd.rights import Action
from downloadd.service import DownloadService, RenderedResponse, is_refused_for_full_queue
from downloadd.states import FINISHED
from downloadd.views import DownloadViews

QUERY_DECODER: Final = QueryDecoder(ListingQuery)
"""Decoder of the query of a listing."""

CANCEL_QUERY_DECODER: Final = QueryDecoder(CancelQuery)
"""Decoder of the query of a cancellation."""

_ID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class DownloadEndpoints:
    """Handlers of the requests to all downloads, and to one by its id."""

    def __init__(self, *, service: DownloadService, views: DownloadViews, reader: BodyReader) -> None:
        self._service = service
        self._views = views
        self._reader = reader

    async def listing(self, context: RequestContext) -> web.Response:
        """Return the active downloads, oldest first, for `GET /api/v1/downloads`."""
        return await list_active_page(self._views, context, QUERY_DECODER.decode(context.query))

    async def batch(self, context: RequestContext) -> web.Response:
        """Start many downloads in one durable transaction, for `POST /api/v1/downloads`; one result each, in order."""
        # Before the body is read, which may be long.
        self._service.authorize(context.user, Action.START)
        body = await self._reader.read_json(context.request)
        idempotency_key = read_idempotency_key(
            context.request.headers, user=context.user.id, method="POST", target=context.request.raw_path, body=body
        )
        started = await self._service.start(
            context.user,
            read_download_requests(body),
            request_id=context.request_id,
            idempotency_key=idempotency_key,
            render=render_batch,
        )
        if started.replayed is not None:
            return json_response(started.replayed.body, status=started.replayed.status)
        rendered = render_batch(started.downloads)
        response = json_response(rendered.body, status=rendered.status)
        if is_refused_for_full_queue(started.downloads):
            response.headers["Retry-After"] = str(QueueFullError.RETRY_AFTER)
        return response

    async def show(self, context: RequestContext) -> web.Response:
        """Return the entry of the listing, or of the history once it has ended, for `GET /api/v1/downloads/{id}`."""
        snapshot = await self._views.get(context.user, download_id(context))
        row = snapshot.download
        return json_response(make_history_entry(row) if row.state in FINISHED else make_active_entry(snapshot))

    async def cancel(self, context: RequestContext) -> web.Response:
        """Cancel a download, or remove one that has ended, for `DELETE /api/v1/downloads/{id}`."""
        query = CANCEL_QUERY_DECODER.decode(context.query)
        id = download_id(context)
        if query.only != "ended":
            try:
                row = await self._service.cancel(context.user, id)
            except InvalidStateError:
                # It has ended.
                if query.only is not None:
                    raise
            else:
                return json_response(make_history_response(row, "Download cancelled"))
        with_file = query.file == "true"
        row, is_file_removed = await self._service.remove(context.user, id, with_file=with_file)
        message = "Removed from the history"
        if with_file:
            message += ", with its file" if is_file_removed else "; there was no file"
        return json_response(make_history_response(row, message))

    async def amend(self, context: RequestContext) -> web.Response:
        """Change a download, for `PATCH /api/v1/downloads/{id}`."""
        id = download_id(context)
        given = given_changes(decode_body(await self._reader.read_json(context.request), AmendBody))
        if not given:
            raise InvalidParameterError("body", f"expected at least one of {', '.join(CHANGE_PARAMETERS)}")
        snapshot = await self._service.amend(context.user, id, make_download_change(given))
        return make_action_response(snapshot, "Download changed")

    async def pause(self, context: RequestContext) -> web.Response:
        """Pause a download, for `POST /api/v1/downloads/{id}/pause`."""
        return make_action_response(await self._service.pause(context.user, download_id(context)), "Download paused")

    async def resume(self, context: RequestContext) -> web.Response:
        """Resume a paused download, for `POST /api/v1/downloads/{id}/resume`."""
        self._service.authorize(context.user, Action.RESUME)
        return make_action_response(await self._service.resume(context.user, download_id(context)), "Download resumed")

    async def retry(self, context: RequestContext) -> web.Response:
        """Retry a download, for `POST /api/v1/downloads/{id}/retry`."""
        self._service.authorize(context.user, Action.RETRY)
        id = download_id(context)
        content = await self._reader.read_json(context.request) if context.request.can_read_body else b"{}"
        body = decode_body(content, RetryBody)
        url = None if body.url is UNSET else body.url
        return make_action_response(await self._service.retry(context.user, id, url), "Download will be tried again")


def download_id(context: RequestContext) -> str:
    """Return the id in the path.

    Raises:
        NotFoundError: it is not an id that a download can have.
    """
    if not _ID.fullmatch(context.id):
        context.download_id = None
        raise NotFoundError("no download has this id")
    return context.id


def make_action_response(snapshot: Snapshot, message: str) -> web.Response:
    """Return the entry of a download after an action, with a message that names the action."""
    row = snapshot.download
    return json_response(
        make_history_response(row, message) if row.state in FINISHED else make_active_response(snapshot, message)
    )


def render_batch(downloads: Sequence[Download]) -> RenderedResponse:
    """Return the response to a batch, as it is stored for repeated requests."""
    result = make_batch_response(downloads)
    return RenderedResponse(status=select_batch_status(result), body=encode(result))


def make_batch_response(downloads: Sequence[Download]) -> BatchResponse:
    """Return one result for each download."""
    results = [make_start_response(download) for download in downloads]
    return BatchResponse(downloads=results, success=all(result.success for result in results))


def select_batch_status(result: BatchResponse) -> int:
    """Return 201 when at least one download was accepted, else the status of the first refusal."""
    return 201 if any(one.success for one in result.downloads) else select_status(result.downloads[0])


def read_download_requests(body: bytes) -> list[DownloadRequest]:
    """Return the download requests of a batch; an item with a `url` and an error elsewhere is one with a problem.

    Raises:
        InvalidParameterError: the body is not a batch, or an item is not an object with a `url`.
    """
    try:
        return [make_download_request(item) for item in decode_body(body, BatchBody).downloads]
    except InvalidParameterError:
        # If only some of the items are wrong, the others are accepted.
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
