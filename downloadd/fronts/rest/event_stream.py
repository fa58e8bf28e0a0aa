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
from downloadd.fronts.rest.request_context import RequestContext
from downloadd.fronts.rest.responses import COMMON_FIELDS, encode
from downloadd.fronts.rest.schemas import make_active_entry, make_history_entry
from downloadd.fronts.rocketchat.translation import make_operation_entry
from downloadd.records.protocol import ActiveFilter, HistoryFilter
from downloadd.service import DownloadService
from downloadd.users import User

HEARTBEAT_SECONDS: Final = 15.0
"""Seconds without an event after which a comment is sent."""
WRITE_TIMEOUT_SECONDS: Final = 30.0
"""Seconds that a reader may leave the connection full before it is cut off."""
MAX_REPLAYED_DOWNLOADS: Final = 1000
"""Ended downloads that a reader is told from the records when it comes back."""
SNAPSHOT_PAGE_SIZE: Final = 500
"""Active downloads that are read at once for a snapshot."""
RECONNECT_MILLISECONDS: Final = 2000
"""How long a reader waits before it comes back."""


class Reset(msgspec.Struct, frozen=True, kw_only=True):
    """Data of a `reset` event."""

    reason: str = "too much has ended since Last-Event-ID; read the history"


class EventStream:
    """Serves the bus to readers; none of them can slow another one, or the manager, down."""

    def __init__(self, *, service: DownloadService, bus: EventBus, heartbeat: float = HEARTBEAT_SECONDS) -> None:
        self._service = service
        self._bus = bus
        self._heartbeat = heartbeat

    async def stream(self, context: RequestContext) -> web.StreamResponse:
        """Answers until the reader leaves, falls behind, or the daemon stops."""
        await self._load_newest_ended_seq(context.user)
        last_event_id = parse_event_id(context.request.headers.get("Last-Event-ID", ""))
        with self._bus.subscribe(last_event_id) as subscription:
            if subscription.is_closed:
                raise ShuttingDownError
            response = web.StreamResponse(headers=COMMON_FIELDS)
            response.content_type = "text/event-stream"
            response.headers["X-Request-Id"] = context.request_id
            # A proxy must not hold events back until it has a bufferful.
            response.headers["X-Accel-Buffering"] = "no"
            try:
                await self._send_events(context, response, subscription, last_event_id)
            except (ConnectionError, TimeoutError):
                # Gone, or so slow that it must come back: nothing more can be said on this connection.
                if context.request.transport is not None:
                    context.request.transport.abort()
        return response

    async def _send_events(
        self,
        context: RequestContext,
        response: web.StreamResponse,
        subscription: Subscription,
        last_event_id: EventId | None,
    ) -> None:
        await response.prepare(context.request)
        await _write(response, f"retry: {RECONNECT_MILLISECONDS}\n\n".encode())
        if subscription.missed is not None:
            if subscription.missed:
                await _write(response, b"".join(event.frame(encode_event) for event in subscription.missed))
        else:
            async for page in self._read_missed_history(context.user, last_event_id):
                await _write(response, page)
            async for page in self._read_active(context.user):
                await _write(response, page)
        # Only now, because one who leaves before has not been told everything.
        await _write(response, f"id: {format_event_id(subscription.start)}\n\n".encode())
        while not subscription.is_closed:
            try:
                async with asyncio.timeout(self._heartbeat):
                    events = await subscription.receive()
            except TimeoutError:
                await _write(response, b": heartbeat\n\n")
                continue
            if events:
                await _write(response, b"".join(event.frame(encode_event) for event in events))
        await response.write_eof()

    async def _load_newest_ended_seq(self, user: User) -> None:
        # A bus that has seen no end yet does not know how far the history reaches.
        if self._bus.position.ended_seq == 0:
            newest = await self._service.history(user, HistoryFilter(limit=1))
            if newest:
                self._bus.record_ended_seq(newest[0].result.ended_seq or 0)

    async def _read_missed_history(self, user: User, last_event_id: EventId | None) -> AsyncIterator[bytes]:
        if last_event_id is None:
            return
        ended = await self._service.ended_since(user, last_event_id.ended_seq, MAX_REPLAYED_DOWNLOADS + 1)
        if len(ended) > MAX_REPLAYED_DOWNLOADS:
            yield f"event: reset\ndata: {encode(Reset()).decode()}\n\n".encode()
            return
        if ended:
            # The ids are the reader's own with a newer end: leaving in between, it is told the rest another time.
            yield b"".join(
                _frame(
                    "history",
                    encode(make_history_entry(row)),
                    replace(last_event_id, ended_seq=row.result.ended_seq or last_event_id.ended_seq),
                )
                for row in ended
            )

    async def _read_active(self, user: User) -> AsyncIterator[bytes]:
        after = 0
        while True:
            page = await self._service.active(user, ActiveFilter(after_seq=after, limit=SNAPSHOT_PAGE_SIZE))
            if page:
                yield b"".join(_snapshot_frame(snapshot) for snapshot in page)
            if len(page) < SNAPSHOT_PAGE_SIZE:
                return
            after = page[-1].download.seq


def encode_event(id: EventId, event: Event) -> bytes:
    """An event as it goes over the wire."""
    match event:
        case DownloadChanged(snapshot=snapshot):
            return _frame("download", encode(make_active_entry(snapshot)), id)
        case DownloadEnded(download=download):
            return _frame("history", encode(make_history_entry(download)), id)
        case ImportChanged(operation=operation):
            return _frame("import", encode(make_operation_entry(operation)), id)


def _snapshot_frame(snapshot: Snapshot) -> bytes:
    return b"event: download\ndata: %b\n\n" % encode(make_active_entry(snapshot))


def _frame(name: str, data: bytes, id: EventId) -> bytes:
    # JSON has no raw line breaks, so the data is one line.
    return b"id: %b\nevent: %b\ndata: %b\n\n" % (format_event_id(id).encode(), name.encode(), data)


async def _write(response: web.StreamResponse, data: bytes) -> None:
    async with asyncio.timeout(WRITE_TIMEOUT_SECONDS):
        await response.write(data)
