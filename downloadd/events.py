"""What happened, for everybody who watches: event structs and the bus that carries them.

The bus never waits for a reader: a reader that falls behind is cut off, comes back with the id of the last event it
saw, and is told what it missed.
"""

import asyncio
import secrets
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, Self

import msgspec

from downloadd.download import Download, Snapshot
from downloadd.import_operation import ImportOperation

MAX_REPLAY_EVENTS: Final = 4096
"""Events that can be told again to a reader that comes back."""

MAX_BACKLOG_EVENTS: Final = 4096
"""Events that one reader may be behind."""


class DownloadChanged(msgspec.Struct, frozen=True, kw_only=True):
    """An active download started, moved or changed its state."""

    snapshot: Snapshot


class DownloadEnded(msgspec.Struct, frozen=True, kw_only=True):
    """A download went to history."""

    download: Download


class ImportChanged(msgspec.Struct, frozen=True, kw_only=True):
    """An import operation moved on."""

    operation: ImportOperation


Event = DownloadChanged | DownloadEnded | ImportChanged
"""Everything that the bus carries."""


class EventId(msgspec.Struct, frozen=True, kw_only=True):
    """A place in the stream of events: what `Last-Event-ID` names."""

    generation: str
    """Names one life of the bus; numbers of another one say nothing."""
    number: int
    """Events published before and including this place."""
    ended_seq: int
    """The newest `Download.ended_seq` told by then: it outlives a restart."""


def format_event_id(id: EventId) -> str:
    """`<generation>-<number>-<ended_seq>`."""
    return f"{id.generation}-{id.number}-{id.ended_seq}"


def parse_event_id(text: str) -> EventId | None:
    """The place that `text` names; None when it is no id of ours."""
    generation, *numbers = text.split("-")
    if len(numbers) != 2 or not all(part.isascii() and part.isdigit() and len(part) < 19 for part in numbers):
        return None
    number, ended_seq = numbers
    return EventId(generation=generation, number=int(number), ended_seq=int(ended_seq))


class PublishedEvent:
    """An event with its place in the stream, and its encoded form once somebody has needed it."""

    __slots__ = ("_frame", "event", "id")

    def __init__(self, id: EventId, event: Event) -> None:
        self.id = id
        self.event = event
        self._frame: bytes | None = None

    def frame(self, encode: Callable[[EventId, Event], bytes]) -> bytes:
        """What goes over the wire: encoded by the first reader, shared by all others."""
        if self._frame is None:
            self._frame = encode(self.id, self.event)
        return self._frame


class Subscription:
    """One reader's bounded queue. Leave it with `with`, or the bus keeps it.

    Attributes:
        start: the place that the reader continues from.
        missed: the events between the reader's last id and `start`; None when the bus cannot tell them all.
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
        """Whether nothing will come any more: the reader was too slow, or the bus closed."""
        return self._closed

    def push(self, published: PublishedEvent) -> None:
        """Queues an event; one too many cuts the reader off."""
        if self._closed:
            return
        if len(self._queue) >= self._limit:
            self._on_reader_lost(len(self._queue) + 1)
            self.disconnect()
            return
        self._queue.append(published)
        self._ready.set()

    def disconnect(self) -> None:
        """Ends the subscription and drops what is queued: the reader can come back and ask for it."""
        self._closed = True
        self._queue.clear()
        self._ready.set()

    async def receive(self) -> list[PublishedEvent]:
        """Waits until there is something and takes all of it; nothing means that it is over."""
        await self._ready.wait()
        if not self._closed:
            self._ready.clear()
        taken = list(self._queue)
        self._queue.clear()
        return taken

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.disconnect()
        self._on_close(self)


class EventBus:
    """Carries events from the manager to every reader. Belongs to one event loop.

    `replay_limit` events are kept for readers that come back; each reader may be `backlog` events behind. `on_reader_lost` is told
    how many events a reader that fell further behind had not read.
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
        self._announced_ended_seq = 0
        self._deferred_batches = 0
        self._replay_buffer: deque[PublishedEvent] = deque(maxlen=replay_limit)
        self._replay_limit = replay_limit
        self._backlog = backlog
        self._on_reader_lost = on_reader_lost
        self._readers: set[Subscription] = set()
        # Publishers may be silent while nobody watches. For as many events as the ring holds the bus passes for watched
        # after its last reader has left, so that one that comes back soon is told everything.
        self._replay_remaining = 0
        self._replay_gap = 0
        self._closed = False

    @property
    def is_watched(self) -> bool:
        """Whether events find a reader; while not, they need not be published."""
        return bool(self._readers) or self._replay_remaining > 0

    @property
    def reader_count(self) -> int:
        """How many read now."""
        return len(self._readers)

    @property
    def position(self) -> EventId:
        """Where the stream stands now."""
        return EventId(generation=self._generation, number=self._number, ended_seq=self._announced_ended_seq)

    def record_ended_seq(self, ended_seq: int) -> None:
        """Tells the bus of a history that is older than its own life."""
        self._ended_seq = max(self._ended_seq, ended_seq)
        if not self._deferred_batches:
            self._announced_ended_seq = self._ended_seq

    @contextmanager
    def deferring_publication(self) -> Iterator[None]:
        """Hold back the ids of ends that are recorded already and published later, or in several turns of the loop.

        Others may be published in between; until all are, no id vouches for any of them, lest a reader that leaves
        meanwhile is never told of those that were still to come. If an exception ends the block, some of them may never
        be published: every reader is sent back to the records, which have them.
        """
        self._deferred_batches += 1
        try:
            yield
        except BaseException:
            self._generation = secrets.token_hex(6)
            self._replay_buffer.clear()
            self.disconnect()
            raise
        finally:
            self._deferred_batches -= 1
            if not self._deferred_batches:
                self._announced_ended_seq = self._ended_seq

    def publish(self, event: Event) -> None:
        """Tells every reader. Never waits."""
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
        """A reader's queue from now on, with what it missed since `after` as far as the bus still knows."""
        if not self.is_watched:
            # Nobody watched, so not everything was published: a number that no event has marks the gap.
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
        """Ends every subscription, now and later."""
        self._closed = True
        self.disconnect()

    def disconnect(self) -> None:
        """Ends every subscription: who may still read comes back, and is told what it missed."""
        for reader in self._readers:
            reader.disconnect()

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
