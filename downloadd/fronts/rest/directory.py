"""`GET /{directory}`: the start of a download into a directory, and the active ones there."""

from collections.abc import Sequence
from typing import Final

import msgspec
from aiohttp import web
from msgspec.structs import replace

from downloadd.download import Download
from downloadd.download_request import DownloadRequest, make_download_request
from downloadd.errors import ERRORS, DownloadError, ErrorCode, InvalidPathError, QueueFullError
from downloadd.fronts.rest.entries import make_start_response
from downloadd.fronts.rest.idempotency import read_idempotency_key
from downloadd.fronts.rest.listing import list_active_page
from downloadd.fronts.rest.long_poll import LongPoll
from downloadd.fronts.rest.query_decoding import QueryDecoder
from downloadd.fronts.rest.request_context import RequestContext
from downloadd.fronts.rest.responses import encode, json_response
from downloadd.fronts.rest.schemas import (
    DirectoryListingQuery,
    StartQuery,
    StartResponse,
)
from downloadd.fronts.rest.target import decode_directory, decode_form, decode_percent
from downloadd.policy.redaction import redact_url
from downloadd.records.protocol import StoredResponse
from downloadd.service import DownloadService, IdempotencyKey, RenderedResponse
from downloadd.states import FINISHED
from downloadd.storage.names import parse_directory
from downloadd.views import DownloadViews

START_DECODER: Final = QueryDecoder(StartQuery)
"""Decoder of the query of a start."""
LISTING_DECODER: Final = QueryDecoder(DirectoryListingQuery)
"""Decoder of the query of a listing."""


class DirectoryEndpoints:
    """Handlers of the requests to a directory."""

    def __init__(self, *, service: DownloadService, views: DownloadViews, long_poll: LongPoll) -> None:
        self._service = service
        self._views = views
        self._long_poll = long_poll

    async def start(self, context: RequestContext) -> web.Response:
        """Start a download, for `GET /{directory}?download=`.

        The response is 201 when the download is on stable storage, or a refusal, which is recorded too.
        """
        download_request, wait = read_download_request(context)
        idempotency_key: IdempotencyKey | None = None
        try:
            idempotency_key = read_idempotency_key(
                context.request.headers,
                user=context.user.id,
                method="GET",
                target=_strip_wait(context.request.raw_path),
            )
        except DownloadError as error:
            download_request = replace(download_request, problem=download_request.problem or error)
        started = await self._service.start(
            context.user,
            (download_request,),
            request_id=context.request_id,
            idempotency_key=idempotency_key,
            render=render_start,
        )
        if started.replayed is not None:
            return await self._replay(context, started.replayed, wait)
        download = started.downloads[0]
        context.download_id = download.id
        context.redacted_url = download.request.redacted_url
        if wait and download.state not in FINISHED:
            download = await self._long_poll.wait(context.user, download, wait)
        return make_response(context, make_start_response(download))

    async def listing(self, context: RequestContext) -> web.Response:
        """Return the active downloads of the directory, oldest first, for `GET /{directory}?downloads=`."""
        query = LISTING_DECODER.decode(context.query)
        directory = parse_directory(decode_directory(context.target.path))
        return await list_active_page(self._views, context, query, directory=directory)

    async def _replay(self, context: RequestContext, stored: StoredResponse, wait: int) -> web.Response:
        result = msgspec.json.decode(stored.body, type=StartResponse)
        context.download_id = result.download_id
        if not wait or not result.success:
            return make_response(context, result)
        snapshot = await self._views.get(context.user, result.download_id)
        download = await self._long_poll.wait(context.user, snapshot.download, wait)
        return make_response(context, make_start_response(download))


def render_start(downloads: Sequence[Download]) -> RenderedResponse:
    """Return the response to the start of one download, as it is stored for repeated requests."""
    result = make_start_response(downloads[0])
    return RenderedResponse(status=select_status(result), body=encode(result))


def make_response(context: RequestContext, result: StartResponse) -> web.Response:
    """Return the response with the result of a start."""
    if result.success:
        return json_response(result, status=201, location=make_location(context, result.download_id))
    response = json_response(result, status=select_status(result))
    if result.error is ErrorCode.QUEUE_FULL:
        response.headers["Retry-After"] = str(QueueFullError.RETRY_AFTER)
    return response


def read_download_request(context: RequestContext) -> tuple[DownloadRequest, int]:
    """Return the download request of a start, with its problem if it has one, and the seconds to wait for its end."""
    problem: DownloadError | None = None
    try:
        directory = decode_directory(context.target.path)
    except InvalidPathError as error:
        problem = error
        # The history shows it, and it may be a URL in the wrong place.
        directory = redact_url(decode_percent(context.target.path, errors="replace").strip("/"))
    try:
        query = START_DECODER.decode(context.query)
    except DownloadError as error:
        values = context.query.values
        filename = values.get("filename")
        return DownloadRequest(
            url=decode_percent(values["download"], errors="replace"),
            directory=directory,
            filename=None if filename is None else decode_form(filename, errors="replace"),
            problem=problem or error,
        ), 0
    download_request = make_download_request(
        query, url=query.download[0], mirrors=query.download[1:], directory=directory, problem=problem
    )
    return download_request, query.wait or 0


def select_status(result: StartResponse) -> int:
    """Return the HTTP status of a response with this single result."""
    return 201 if result.error is None else ERRORS[result.error].status


def make_location(context: RequestContext, id: str) -> str:
    """Return the path of a download."""
    return f"{context.target.base_path}/api/v1/downloads/{id}"


def _strip_wait(target: str) -> str:
    """Return the target without `wait`, which changes the response and not the download."""
    path, mark, query = target.partition("?")
    return path + mark + "&".join(part for part in query.split("&") if not part.startswith("wait="))
