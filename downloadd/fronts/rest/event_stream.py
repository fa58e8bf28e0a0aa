"""`GET /api/v1/events`: server-sent events (HTML standard, section 9.2).

`event_types` lists the events. A client without `Last-Event-ID` first receives the active downloads. A client that
reconnects receives what it missed: each event while the bus has it, otherwise the downloads that ended since, from the
records, and then the active downloads. After too many ends, or a removal from the history, it receives a `reset` event
and has to read the history. An end may be sent twice, and is never omitted.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from aiohttp import web
from msgspec.structs import replace

from downloadd.errors import ShuttingDownError
from downloadd.events import (
    DownloadChanged,
    DownloadEnded,
    Event,
    EventBus,
    EventId,
    Subscription,
    format_event_id,
    parse_event_id,
)
from downloadd.fronts.rest.event_types import TYPES_BY_ENTRY, TYPES_BY_SOURCE, EventEntry, Reset
from downloadd.fronts.rest.request_context import RequestContext
from downloadd.fronts.rest.responses import COMMON_FIELDS, encode
from downloadd.records.protocol import ActiveFilter
from downloadd.users import User
from downloadd.views import DownloadViews

HEARTBEAT_SECONDS: Final = 15.0
"""Seconds without an event before a comment is sent."""
WRITE_TIMEOUT_SECONDS: Final = 30.0
"""Seconds that a client may leave the connection full before it is disconnected."""
MAX_REPLAYED_DOWNLOADS: Final = 1000
"""Ended downloads that a client receives from the records when it reconnects."""
SNAPSHOT_PAGE_SIZE: Final = 500
"""Active downloads that one query reads for a new client."""
RECONNECT_MILLISECONDS: Final = 2000
"""Milliseconds that a client should wait before it reconnects."""


class EventStream:
    """Endpoint that sends the events of the bus; no client delays another one or the manager."""

    def __init__(self, *, views: DownloadViews, bus: EventBus, heartbeat: float = HEARTBEAT_SECONDS) -> None:
        self._views = views
        self._bus = bus
        self._heartbeat = heartbeat

    async def stream(self, context: RequestContext) -> web.StreamResponse:
        """Send events until the client disconnects, falls behind, or the daemon stops."""
        last_event_id = parse_event_id(context.request.headers.get("Last-Event-ID", ""))
        with self._bus.subscribe(last_event_id) as subscription:
            if subscription.is_closed:
                raise ShuttingDownError
            response = web.StreamResponse(headers=COMMON_FIELDS)
            response.content_type = "text/event-stream"
            response.headers["X-Request-Id"] = context.request_id
            response.headers.update(context.response_fields)
            # A proxy must not buffer events.
            response.headers["X-Accel-Buffering"] = "no"
            try:
                await self._send_events(context, response, subscription, last_event_id)
            except (ConnectionError, TimeoutError):
                # The client has disconnected or is too slow, and has to reconnect.
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
        # Not earlier: a client that disconnects before has not received everything up to this id.
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

    async def _read_missed_history(self, user: User, last_event_id: EventId | None) -> AsyncIterator[bytes]:
        if last_event_id is None:
            return
        if 0 < await self._views.last_removal(user) >= last_event_id.ended_seq:
            # The removal came later than this id, or with the same newest end.
            yield _encode_frame(Reset(reason="entries of the history were removed; read the history"))
            return
        ended = await self._views.ended_since(user, last_event_id.ended_seq, MAX_REPLAYED_DOWNLOADS + 1)
        if len(ended) > MAX_REPLAYED_DOWNLOADS:
            yield _encode_frame(Reset())
            return
        if ended:
            # Each id is the client's own with a newer end: one that disconnects in between gets the rest later.
            yield b"".join(
                encode_event(
                    replace(last_event_id, ended_seq=row.result.ended_seq or last_event_id.ended_seq),
                    DownloadEnded(download=row, before=None),
                )
                for row in ended
            )

    async def _read_active(self, user: User) -> AsyncIterator[bytes]:
        after = 0
        while True:
            page = await self._views.active(user, ActiveFilter(after_seq=after, limit=SNAPSHOT_PAGE_SIZE))
            if page:
                yield b"".join(
                    encode_event(None, DownloadChanged(snapshot=snapshot, before=snapshot.download.state))
                    for snapshot in page
                )
            if len(page) < SNAPSHOT_PAGE_SIZE:
                return
            after = page[-1].download.seq


def encode_event(id: EventId | None, event: Event) -> bytes:
    """Return an event of the bus as bytes of the stream; without `id`, clients keep their last one."""
    return _encode_frame(TYPES_BY_SOURCE[type(event)].make_entry(event), id)


def _encode_frame(entry: EventEntry, id: EventId | None = None) -> bytes:
    # JSON contains no raw line breaks, so the data is one line.
    frame = b"event: %b\ndata: %b\n\n" % (TYPES_BY_ENTRY[type(entry)].name.encode(), encode(entry))
    return frame if id is None else b"id: %b\n%b" % (format_event_id(id).encode(), frame)


async def _write(response: web.StreamResponse, data: bytes) -> None:
    async with asyncio.timeout(WRITE_TIMEOUT_SECONDS):
        await response.write(data)
