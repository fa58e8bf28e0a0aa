"""Events about downloads, imports and settings, and the bus that delivers them to subscribers.

The bus never waits for a subscriber: one that falls behind is disconnected, reconnects with the id of the last event it
received, and receives what it missed.
"""

import asyncio
import secrets
from collections import deque
from collections.abc import Callable
from typing import Final, Self

import msgspec

from downloadd.download import Download, Snapshot
from downloadd.import_operation import ImportOperation
from downloadd.runtime_settings import CurrentSettings
from downloadd.states import State

MAX_REPLAY_EVENTS: Final = 4096
"""Events that the bus keeps for subscribers that reconnect."""

MAX_BACKLOG_EVENTS: Final = 4096
"""Events that may wait for one subscriber."""


class DownloadChanged(msgspec.Struct, frozen=True, kw_only=True):
    """An active download started, received bytes or changed its state."""

    snapshot: Snapshot
    before: State | None
    """The state before, which is the present one if the state did not change; None for a new download."""


class DownloadEnded(msgspec.Struct, frozen=True, kw_only=True):
    """A download ended and is in the history."""

    download: Download
    before: State | None
    """The state before; None for a request that was refused, and if another process recorded the end."""


class HistoryRemoved(msgspec.Struct, frozen=True, kw_only=True):
    """Finished downloads were removed from the history."""

    ids: list[str]


class ImportChanged(msgspec.Struct, frozen=True, kw_only=True):
    """An import operation changed its status or counts."""

    operation: ImportOperation


class SettingsChanged(msgspec.Struct, frozen=True, kw_only=True):
    """A user changed the limits on all downloads."""

    settings: CurrentSettings


Event = DownloadChanged | DownloadEnded | HistoryRemoved | ImportChanged | SettingsChanged
"""Any event of the bus; `fronts.rest.event_types` has the public form of each."""


class EventId(msgspec.Struct, frozen=True, kw_only=True):
    """Position in the stream of events, as in `Last-Event-ID`."""

    generation: str
    """Random name of one run of the bus; numbers of another run are not comparable."""
    number: int
    """Events published up to this position, including it."""
    ended_seq: int
    """The newest `Result.ended_seq` published up to this position; valid across restarts."""


def format_event_id(id: EventId) -> str:
    """Return `<generation>-<number>-<ended_seq>`."""
    return f"{id.generation}-{id.number}-{id.ended_seq}"


def parse_event_id(text: str) -> EventId | None:
    """Return the position that `text` stands for, or None if it is not an id of `format_event_id`."""
    generation, *numbers = text.split("-")
    if len(numbers) != 2 or not all(part.isascii() and part.isdigit() and len(part) < 19 for part in numbers):
        return None
    number, ended_seq = numbers
    return EventId(generation=generation, number=int(number), ended_seq=int(ended_seq))


class PublishedEvent:
    """An event with its position in the stream, and its encoded form after its first use."""

    __slots__ = ("_frame", "event", "id")

    def __init__(self, id: EventId, event: Event) -> None:
        self.id = id
        self.event = event
        self._frame: bytes | None = None

    def frame(self, encode: Callable[[EventId, Event], bytes]) -> bytes:
        """Return the encoded event; the first subscriber encodes it for all."""
        if self._frame is None:
            self._frame = encode(self.id, self.event)
        return self._frame


class Subscription:
    """Bounded queue of one subscriber. Use it in a `with` statement, which unsubscribes.

    Attributes:
        start: Position that the subscription begins after.
        missed: Events between the subscriber's last id and `start`; None if the bus does not have all of them.
    """

    def __init__(
        self,
        start: EventId,
        missed: tuple[PublishedEvent, ...] | None,
        limit: int,
        on_close: "Callable[[Subscription], None]",
        on_reader_lost: Callable[[int], None],
    ) -> None:
        self.start = start
        self.missed = missed
        self._limit = limit
        self._on_close = on_close
        self._on_reader_lost = on_reader_lost
        self._queue: deque[PublishedEvent] = deque()
        self._ready = asyncio.Event()
        self._closed = False

    @property
    def is_closed(self) -> bool:
        """Return True if no event will follow: the subscriber was too slow, or the bus is closed."""
        return self._closed

    def push(self, published: PublishedEvent) -> None:
        """Append an event; disconnect the subscriber if its queue is full."""
        if self._closed:
            return
        if len(self._queue) >= self._limit:
            self._on_reader_lost(len(self._queue) + 1)
            self.disconnect()
            return
        self._queue.append(published)
        self._ready.set()

    def disconnect(self) -> None:
        """End the subscription and drop its queue; the subscriber may reconnect for the dropped events."""
        self._closed = True
        self._queue.clear()
        self._ready.set()

    async def receive(self) -> list[PublishedEvent]:
        """Wait for events and return all that are queued; an empty list means that the subscription has ended."""
        await self._ready.wait()
        if not self._closed:
            self._ready.clear()
        events = list(self._queue)
        self._queue.clear()
        return events

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.disconnect()
        self._on_close(self)


class EventBus:
    """Publisher of events to all subscribers. Belongs to one event loop.

    Args:
        replay_limit: Events that are kept for subscribers that reconnect.
        backlog: Events that may wait for one subscriber.
        on_reader_lost: Called with the number of unread events when a subscriber is disconnected for its backlog.
    """

    def __init__(
        self,
        *,
        replay_limit: int = MAX_REPLAY_EVENTS,
        backlog: int = MAX_BACKLOG_EVENTS,
        on_reader_lost: Callable[[int], None] = lambda events: None,
    ) -> None:
        self._generation = secrets.token_hex(6)
        self._number = 0
        self._ended_seq = 0
        self._replay_buffer: deque[PublishedEvent] = deque(maxlen=replay_limit)
        self._replay_limit = replay_limit
        self._backlog = backlog
        self._on_reader_lost = on_reader_lost
        self._readers: set[Subscription] = set()
        # Without subscribers, publishers may omit events. After the last one has left, the bus still reports
        # `is_watched` until the buffer is full once, so that a subscriber that reconnects soon misses nothing.
        self._replay_remaining = 0
        self._replay_gap = 0
        self._closed = False

    @property
    def is_watched(self) -> bool:
        """Return True if events must be published: there are subscribers, or the last one left recently."""
        return bool(self._readers) or self._replay_remaining > 0

    @property
    def reader_count(self) -> int:
        """Return the number of subscribers."""
        return len(self._readers)

    @property
    def position(self) -> EventId:
        """Return the current position of the stream."""
        return EventId(generation=self._generation, number=self._number, ended_seq=self._ended_seq)

    def record_ended_seq(self, ended_seq: int) -> None:
        """Record the newest end of a history that is older than the bus."""
        self._ended_seq = max(self._ended_seq, ended_seq)

    def publish(self, event: Event) -> None:
        """Deliver an event to all subscribers, without waiting; ends are published in the order of `ended_seq`."""
        self._number += 1
        if isinstance(event, DownloadEnded) and event.download.result.ended_seq is not None:
            self.record_ended_seq(event.download.result.ended_seq)
        if not self.is_watched:
            return
        if not self._readers:
            self._replay_remaining -= 1
        published = PublishedEvent(self.position, event)
        self._replay_buffer.append(published)
        for reader in self._readers:
            reader.push(published)

    def subscribe(self, after: EventId | None = None) -> Subscription:
        """Return a new subscription, with the events since `after` as far as the bus has them."""
        if not self.is_watched:
            # Publishers may have omitted events: a number without an event marks the gap.
            self._number += 1
            self._replay_gap = self._number
            self._replay_buffer.clear()
        subscription = Subscription(
            self.position, self._find_missed(after), self._backlog, self._unsubscribe, self._on_reader_lost
        )
        self._readers.add(subscription)
        if self._closed:
            subscription.disconnect()
        return subscription

    def close(self) -> None:
        """End all subscriptions, present and future."""
        self._closed = True
        self.disconnect()

    def disconnect(self) -> None:
        """End all present subscriptions; subscribers may reconnect and receive what they missed."""
        for reader in self._readers:
            reader.disconnect()

    def request_reread(self) -> None:
        """End all present subscriptions, and keep no event for subscribers that reconnect.

        They read what has changed from the records, for changes that are too many for events.
        """
        self._number += 1
        self._replay_gap = self._number
        self._replay_buffer.clear()
        self.disconnect()

    def _find_missed(self, after: EventId | None) -> tuple[PublishedEvent, ...] | None:
        if after is None or after.generation != self._generation or after.number > self._number:
            return None
        oldest = self._replay_buffer[0].id.number if self._replay_buffer else self._number + 1
        if after.number + 1 < oldest or after.number < self._replay_gap:
            return None
        return tuple(published for published in self._replay_buffer if published.id.number > after.number)

    def _unsubscribe(self, subscription: Subscription) -> None:
        self._readers.discard(subscription)
        if not self._readers:
            self._replay_remaining = self._replay_limit
