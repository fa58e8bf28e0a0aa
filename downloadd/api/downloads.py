"""`/api/v1/downloads`: all active downloads, many starts at once, and what can be done to one download."""

import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import msgspec
from aiohttp import web
from msgspec import UNSET

from downloadd.api.answers import answer, encode, forbidden, permission_missing
from downloadd.api.bodies import (
    AmendBody,
    BatchAnswer,
    BatchBody,
    BatchItem,
    ListingQuery,
    LooseBatchBody,
    QueryForm,
    active_answer,
    active_entry,
    explain,
    past_answer,
    past_entry,
    start_answer,
)
from downloadd.api.body_reader import BodyReader
from downloadd.api.call import Call
from downloadd.api.directory import status_of
from downloadd.api.engine import Engine
from downloadd.api.idempotency import read_repeat_key
from downloadd.api.json_body import decode_body
from downloadd.api.listing import show_page
from downloadd.clock import Clock
from downloadd.download import Download, Snapshot
from downloadd.errors import ERRORS, DownloadError, ErrorCode, InvalidParameterError, NotFoundError
from downloadd.manager.intake import Order
from downloadd.manager.manager import Amendment
from downloadd.records.protocol import StoredAnswer
from downloadd.states import ENDED

FORM: Final = QueryForm(ListingQuery)

_QUEUE_FULL: Final = ERRORS[ErrorCode.QUEUE_FULL].status
_ID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class DownloadEndpoints:
    """What can be asked of downloads by their ids, or of all.

    `allow` says whether the daemon may fetch at all, `may_use` whether the user of an id may start and change downloads
    in a directory; a batch is refused whole when one of its directories is closed to the user.
    """

    def __init__(
        self,
        *,
        engine: Engine,
        reader: BodyReader,
        clock: Clock,
        allow: Callable[[], bool],
        may_use: Callable[[str, str], bool],
    ) -> None:
        self._engine = engine
        self._reader = reader
        self._clock = clock
        self._allow = allow
        self._may_use = may_use

    async def listing(self, call: Call) -> web.Response:
        """`GET /api/v1/downloads`: what is active, oldest first."""
        return await show_page(self._engine, call, FORM.read(call.query))

    async def batch(self, call: Call) -> web.Response:
        """`POST /api/v1/downloads`: many starts in one durable transaction, one result each, in order."""
        if not self._allow():
            return forbidden()
        body = await self._reader.read_json(call.request)
        repeat = read_repeat_key(
            call.request.headers, user=call.user.id, method="POST", target=call.request.raw_path, body=body
        )
        orders = read_orders(body)
        if not all(self._may_use(call.user.id, order.directory) for order in orders):
            return permission_missing()
        keep: Callable[[Sequence[Download]], StoredAnswer | None] | None = None
        if repeat is not None:
            key = repeat

            def keep(downloads: Sequence[Download]) -> StoredAnswer | None:
                result = batch_answer(downloads)
                if batch_status(result) == _QUEUE_FULL:
                    # Nothing was accepted, and the same request is meant to succeed later.
                    return None
                return key.keep(batch_status(result), encode(result), created=self._clock.wall())

        started = await self._engine.start(orders, user=call.user.id, request_id=call.request_id, answer=keep)
        if started.replayed is not None:
            return answer(started.replayed.body, status=started.replayed.status)
        result = batch_answer(started.downloads)
        response = answer(result, status=batch_status(result))
        if response.status == _QUEUE_FULL:
            response.headers["Retry-After"] = str(self._engine.retry_after())
        return response

    async def show(self, call: Call) -> web.Response:
        """`GET /api/v1/downloads/{id}`: the listing's entry, or the history's once it has ended."""
        snapshot = await self._engine.get(download_id(call))
        row = snapshot.download
        return answer(past_entry(row) if row.state in ENDED else active_entry(snapshot))

    async def cancel(self, call: Call) -> web.Response:
        """`DELETE /api/v1/downloads/{id}`: cancels it and removes what has come."""
        if not await self._may_change(call):
            return permission_missing()
        return answer(past_answer(await self._engine.cancel(download_id(call)), "Download cancelled"))

    async def amend(self, call: Call) -> web.Response:
        """`PATCH /api/v1/downloads/{id}`: changes priority, speed limit or URL."""
        id = download_id(call)
        changes = decode_body(await self._reader.read_json(call.request), AmendBody)
        if changes == AmendBody():
            raise InvalidParameterError("body", "expected at least one of priority, speed_limit, url")
        if changes.url is not UNSET and not self._allow():
            return forbidden()
        if not await self._may_change(call):
            return permission_missing()
        snapshot = await self._engine.amend(
            id,
            Amendment(
                priority=None if changes.priority is UNSET else changes.priority,
                speed_limit=None if changes.speed_limit is UNSET else changes.speed_limit,
                url=None if changes.url is UNSET else changes.url,
            ),
        )
        return done(snapshot, "Download changed")

    async def pause(self, call: Call) -> web.Response:
        """`POST /api/v1/downloads/{id}/pause`."""
        if not await self._may_change(call):
            return permission_missing()
        return done(await self._engine.pause(download_id(call)), "Download paused")

    async def resume(self, call: Call) -> web.Response:
        """`POST /api/v1/downloads/{id}/resume`."""
        return await self._go_on(call, self._engine.resume, "Download resumed")

    async def retry(self, call: Call) -> web.Response:
        """`POST /api/v1/downloads/{id}/retry`."""
        return await self._go_on(call, self._engine.retry, "Download will be tried again")

    async def _go_on(self, call: Call, verb: Callable[[str], Awaitable[Snapshot]], message: str) -> web.Response:
        if not self._allow():
            return forbidden()
        if not await self._may_change(call):
            return permission_missing()
        return done(await verb(download_id(call)), message)

    async def _may_change(self, call: Call) -> bool:
        """Whether the user may change the download of the path.

        Raises:
            NotFoundError: there is none.
        """
        snapshot = await self._engine.get(download_id(call))
        return self._may_use(call.user.id, snapshot.download.request.directory)


def download_id(call: Call) -> str:
    """The id in the path.

    Raises:
        NotFoundError: it is none, so no download can have it.
    """
    if not _ID.fullmatch(call.id):
        call.download_id = None
        raise NotFoundError("no download has this id")
    return call.id


def done(snapshot: Snapshot, message: str) -> web.Response:
    """What a verb answers: the entry as it is now, with what was done."""
    row = snapshot.download
    return answer(past_answer(row, message) if row.state in ENDED else active_answer(snapshot, message))


def batch_answer(downloads: Sequence[Download]) -> BatchAnswer:
    """One result for each download."""
    results = [start_answer(download) for download in downloads]
    return BatchAnswer(downloads=results, success=all(result.success for result in results))


def batch_status(result: BatchAnswer) -> int:
    """201 when at least one was accepted, else the status of the first refusal."""
    return 201 if any(one.success for one in result.downloads) else status_of(result.downloads[0])


def read_orders(body: bytes) -> list[Order]:
    """The orders of a batch. An item with a `url` that is wrong elsewhere becomes an order with a problem.

    Raises:
        InvalidParameterError: the body is no batch, or an item is not an object with a `url`.
    """
    try:
        return [_order(item) for item in decode_body(body, BatchBody).downloads]
    except InvalidParameterError:
        # Perhaps only some of the items are wrong: read them one by one.
        items = decode_body(body, LooseBatchBody).downloads
    return [_loose_order(item, f"downloads[{number}]") for number, item in enumerate(items)]


def _loose_order(item: Any, name: str) -> Order:
    try:
        return _order(msgspec.convert(item, BatchItem))
    except msgspec.ValidationError as error:
        problem: DownloadError = explain(error, root=name)
    if not isinstance(item, dict) or not isinstance(item.get("url"), str):
        raise problem
    directory, filename = item.get("directory"), item.get("filename")
    return Order(
        url=item["url"],
        directory=directory if isinstance(directory, str) else "",
        filename=filename if isinstance(filename, str) else None,
        problem=problem,
    )


def _order(item: BatchItem) -> Order:
    return Order(
        url=item.url,
        mirrors=item.mirrors,
        directory=item.directory,
        filename=item.filename,
        timeout=item.timeout,
        segments=item.segments,
        checksum=item.checksum,
        conflict=item.conflict,
        priority=item.priority,
        speed_limit=item.speed_limit,
    )
