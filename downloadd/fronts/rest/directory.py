"""`GET /{directory}`: starts a download into a directory, or lists those that run there."""

from collections.abc import Callable, Sequence
from typing import Final

import msgspec
from aiohttp import web

from downloadd.clock import Clock
from downloadd.download import Download
from downloadd.download_request import DownloadRequest, make_download_request
from downloadd.errors import ERRORS, DownloadError, ErrorCode, InvalidPathError
from downloadd.fronts.rest.entries import make_start_response
from downloadd.fronts.rest.idempotency import read_idempotency_key
from downloadd.fronts.rest.listing import list_active_page
from downloadd.fronts.rest.long_poll import LongPoll
from downloadd.fronts.rest.query_decoding import QueryDecoder
from downloadd.fronts.rest.request_context import RequestContext
from downloadd.fronts.rest.responses import encode, forbidden_response, json_response, permission_missing_response
from downloadd.fronts.rest.schemas import (
    DirectoryListingQuery,
    StartQuery,
    StartResponse,
)
from downloadd.fronts.rest.service import DownloadService
from downloadd.fronts.rest.target import decode_directory, decode_form, decode_percent
from downloadd.policy.redaction import redact_url
from downloadd.records.protocol import StoredResponse
from downloadd.states import FINISHED
from downloadd.storage.names import parse_directory

START_DECODER: Final = QueryDecoder(StartQuery)
LISTING_DECODER: Final = QueryDecoder(DirectoryListingQuery)


class DirectoryEndpoints:
    """What can be asked of a directory.

    `is_enabled` says whether the daemon may fetch at all, `can_use_directory` whether the user of an id may start downloads there.
    """

    def __init__(
        self,
        *,
        service: DownloadService,
        long_poll: LongPoll,
        clock: Clock,
        is_enabled: Callable[[], bool],
        can_use_directory: Callable[[str, str], bool],
    ) -> None:
        self._service = service
        self._long_poll = long_poll
        self._clock = clock
        self._is_enabled = is_enabled
        self._can_use_directory = can_use_directory

    async def start(self, context: RequestContext) -> web.Response:
        """`GET /{directory}?download=`: 201 once the download is on stable storage, or a refusal that is recorded."""
        if not self._is_enabled():
            return forbidden_response()
        download_request, wait = read_download_request(context)
        if not self._can_use_directory(context.user.id, download_request.directory):
            return permission_missing_response()
        make_stored_response: Callable[[Sequence[Download]], StoredResponse | None] | None = None
        try:
            idempotency_key = read_idempotency_key(
                context.request.headers,
                user=context.user.id,
                method="GET",
                target=_strip_wait(context.request.raw_path),
            )
        except DownloadError as error:
            download_request, idempotency_key = (
                msgspec.structs.replace(download_request, problem=download_request.problem or error),
                None,
            )
        if idempotency_key is not None:
            key = idempotency_key

            def make_stored_response(downloads: Sequence[Download]) -> StoredResponse | None:
                result = make_start_response(downloads[0])
                if result.error is ErrorCode.QUEUE_FULL:
                    # The same request is meant to succeed later.
                    return None
                return key.to_stored_response(select_status(result), encode(result), created=self._clock.wall())

        started = await self._service.start(
            (download_request,),
            user=context.user.id,
            request_id=context.request_id,
            make_stored_response=make_stored_response,
        )
        if started.replayed is not None:
            return await self._replay(context, started.replayed, wait)
        download = started.downloads[0]
        context.download_id = download.id
        context.redacted_url = download.request.redacted_url
        if wait and download.state not in FINISHED:
            download = await self._long_poll.wait(download, wait)
        return self._start_response(context, make_start_response(download))

    async def listing(self, context: RequestContext) -> web.Response:
        """`GET /{directory}?downloads=`: what is active in this directory, oldest first."""
        query = LISTING_DECODER.decode(context.query)
        directory = parse_directory(decode_directory(context.target.path))
        return await list_active_page(self._service, context, query, directory=directory)

    async def _replay(self, context: RequestContext, stored: StoredResponse, wait: int) -> web.Response:
        result = msgspec.json.decode(stored.body, type=StartResponse)
        context.download_id = result.download_id
        if not wait or not result.success:
            return self._start_response(context, result)
        snapshot = await self._service.get(result.download_id)
        return self._start_response(context, make_start_response(await self._long_poll.wait(snapshot.download, wait)))

    def _start_response(self, context: RequestContext, result: StartResponse) -> web.Response:
        if result.success:
            return json_response(result, status=201, location=make_location(context, result.download_id))
        response = json_response(result, status=select_status(result))
        if result.error is ErrorCode.QUEUE_FULL:
            response.headers["Retry-After"] = str(self._service.retry_after())
        return response


def read_download_request(context: RequestContext) -> tuple[DownloadRequest, int]:
    """The download request that a start asks for, with its problem if it has one, and the seconds to wait for its end."""
    problem: DownloadError | None = None
    try:
        directory = decode_directory(context.target.path)
    except InvalidPathError as error:
        problem = error
        # It is shown in the history, and may be a URL in the wrong place.
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
    """The HTTP status of an answer that has this result alone."""
    return 201 if result.error is None else ERRORS[result.error].status


def make_location(context: RequestContext, id: str) -> str:
    """Where a download can be looked at."""
    return f"{context.target.base_path}/api/v1/downloads/{id}"


def _strip_wait(target: str) -> str:
    """The target of a start without how long its answer is waited for, which asks nothing of the download."""
    path, mark, query = target.partition("?")
    return path + mark + "&".join(part for part in query.split("&") if not part.startswith("wait="))
