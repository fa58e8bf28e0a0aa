"""`GET /api/v1/events`: what happens, as server-sent events (the HTML standard, section 9.2).

A `download` event has the entry of a listing, a `history` event that of the history, an `import` event an import
operation that moved on. A reader without `Last-Event-ID` is first told what is active; one that comes back is told what
it missed: event by event while the bus remembers, else what has ended since, from the records, and what is active now.
A `reset` event says that too much has ended since: read the history. Ends may be told twice, never not at all.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

import msgspec
from aiohttp import web
from msgspec.structs import replace

from downloadd.api.answers import COMMON_FIELDS, encode
from downloadd.api.bodies import active_entry, past_entry
from downloadd.api.call import Call
from downloadd.api.engine import Engine
from downloadd.api.import_bodies import entry_of
from downloadd.download import Snapshot
from downloadd.errors import ShuttingDownError
from downloadd.events import (
    DownloadChanged,
    DownloadEnded,
    Event,
    EventBus,
    EventId,
    ImportChanged,
    Subscription,
    format_event_id,
    parse_event_id,
)
from downloadd.records.protocol import ActiveFilter, HistoryFilter

HEARTBEAT: Final = 15.0
"""Seconds without an event after which a comment is sent."""
PATIENCE: Final = 30.0
"""Seconds that a reader may leave the connection full before it is cut off."""
CATCH_UP: Final = 1000
"""Ended downloads that a reader is told from the records when it comes back."""
PAGE: Final = 500
"""Active downloads that are read at once for a snapshot."""
RETRY_MS: Final = 2000
"""How long a reader waits before it comes back."""


class Reset(msgspec.Struct, frozen=True, kw_only=True):
    """Data of a `reset` event."""

    reason: str = "too much has ended since Last-Event-ID; read the history"


class EventStream:
    """Serves the bus to readers; none of them can slow another one, or the manager, down."""

    def __init__(self, *, engine: Engine, bus: EventBus, heartbeat: float = HEARTBEAT) -> None:
        self._engine = engine
        self._bus = bus
        self._heartbeat = heartbeat

    async def stream(self, call: Call) -> web.StreamResponse:
        """Answers until the reader leaves, falls behind, or the daemon stops."""
        await self._know_the_past()
        last = parse_event_id(call.request.headers.get("Last-Event-ID", ""))
        with self._bus.subscribe(last) as subscription:
            if subscription.over:
                raise ShuttingDownError
            response = web.StreamResponse(headers=COMMON_FIELDS)
            response.content_type = "text/event-stream"
            response.headers["X-Request-Id"] = call.request_id
            # A proxy must not hold events back until it has a bufferful.
            response.headers["X-Accel-Buffering"] = "no"
            try:
                await self._tell(call.request, response, subscription, last)
            except (ConnectionError, TimeoutError):
                # Gone, or so slow that it must come back: nothing more can be said on this connection.
                if call.request.transport is not None:
                    call.request.transport.abort()
        return response

    async def _tell(
        self, request: web.BaseRequest, response: web.StreamResponse, subscription: Subscription, last: EventId | None
    ) -> None:
        await response.prepare(request)
        await _write(response, f"retry: {RETRY_MS}\n\n".encode())
        if subscription.missed is not None:
            if subscription.missed:
                await _write(response, b"".join(event.frame(encode_event) for event in subscription.missed))
        else:
            async for page in self._catch_up(last):
                await _write(response, page)
            async for page in self._active():
                await _write(response, page)
        # Only now, because one who leaves before has not been told everything.
        await _write(response, f"id: {format_event_id(subscription.start)}\n\n".encode())
        while not subscription.over:
            try:
                async with asyncio.timeout(self._heartbeat):
                    events = await subscription.take()
            except TimeoutError:
                await _write(response, b": heartbeat\n\n")
                continue
            if events:
                await _write(response, b"".join(event.frame(encode_event) for event in events))
        await response.write_eof()

    async def _know_the_past(self) -> None:
        # A bus that has seen no end yet does not know how far the history reaches.
        if self._bus.place.ended_seq == 0:
            newest = await self._engine.history(HistoryFilter(limit=1))
            if newest:
                self._bus.remember_ended(newest[0].result.ended_seq or 0)

    async def _catch_up(self, last: EventId | None) -> AsyncIterator[bytes]:
        if last is None:
            return
        ended = await self._engine.ended_since(last.ended_seq, CATCH_UP + 1)
        if len(ended) > CATCH_UP:
            yield f"event: reset\ndata: {encode(Reset()).decode()}\n\n".encode()
            return
        if ended:
            # The ids are the reader's own with a newer end: leaving in between, it is told the rest another time.
            yield b"".join(
                _frame(
                    "history", encode(past_entry(row)), replace(last, ended_seq=row.result.ended_seq or last.ended_seq)
                )
                for row in ended
            )

    async def _active(self) -> AsyncIterator[bytes]:
        after = 0
        while True:
            page = await self._engine.active(ActiveFilter(after_seq=after, limit=PAGE))
            if page:
                yield b"".join(_snapshot_frame(snapshot) for snapshot in page)
            if len(page) < PAGE:
                return
            after = page[-1].download.seq


def encode_event(id: EventId, event: Event) -> bytes:
    """An event as it goes over the wire."""
    match event:
        case DownloadChanged(snapshot=snapshot):
            return _frame("download", encode(active_entry(snapshot)), id)
        case DownloadEnded(download=download):
            return _frame("history", encode(past_entry(download)), id)
        case ImportChanged(operation=operation):
            return _frame("import", encode(entry_of(operation)), id)


def _snapshot_frame(snapshot: Snapshot) -> bytes:
    return b"event: download\ndata: %b\n\n" % encode(active_entry(snapshot))


def _frame(name: str, data: bytes, id: EventId) -> bytes:
    # JSON has no raw line breaks, so the data is one line.
    return b"id: %b\nevent: %b\ndata: %b\n\n" % (format_event_id(id).encode(), name.encode(), data)


async def _write(response: web.StreamResponse, data: bytes) -> None:
    async with asyncio.timeout(PATIENCE):
        await response.write(data)
