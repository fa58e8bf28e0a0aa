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
from downloadd.operation import Operation

REMEMBERED: Final = 4096
"""Events that can be told again to a reader that comes back."""

BACKLOG: Final = 4096
"""Events that one reader may be behind."""


class DownloadChanged(msgspec.Struct, frozen=True, kw_only=True):
    """An active download started, moved or changed its state."""

    snapshot: Snapshot


class DownloadEnded(msgspec.Struct, frozen=True, kw_only=True):
    """A download went to history."""

    download: Download


class ImportChanged(msgspec.Struct, frozen=True, kw_only=True):
    """An import operation moved on."""

    operation: Operation


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


class Published:
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
        missed: tuple[Published, ...] | None,
        limit: int,
        leave: "Callable[[Subscription], None]",
        lost: Callable[[int], None],
    ) -> None:
        self.start = start
        self.missed = missed
        self._limit = limit
        self._leave = leave
        self._lost = lost
        self._queue: deque[Published] = deque()
        self._filled = asyncio.Event()
        self._over = False

    @property
    def over(self) -> bool:
        """Whether nothing will come any more: the reader was too slow, or the bus closed."""
        return self._over

    def offer(self, published: Published) -> None:
        """Queues an event; one too many cuts the reader off."""
        if self._over:
            return
        if len(self._queue) >= self._limit:
            self._lost(len(self._queue) + 1)
            self.cut()
            return
        self._queue.append(published)
        self._filled.set()

    def cut(self) -> None:
        """Ends the subscription and drops what is queued: the reader can come back and ask for it."""
        self._over = True
        self._queue.clear()
        self._filled.set()

    async def take(self) -> list[Published]:
        """Waits until there is something and takes all of it; nothing means that it is over."""
        await self._filled.wait()
        if not self._over:
            self._filled.clear()
        taken = list(self._queue)
        self._queue.clear()
        return taken

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.cut()
        self._leave(self)


class EventBus:
    """Carries events from the manager to every reader. Belongs to one event loop.

    `remembered` events are kept for readers that come back; each reader may be `backlog` events behind. `lost` is told
    how many events a reader that fell further behind had not read.
    """

    def __init__(
        self,
        *,
        remembered: int = REMEMBERED,
        backlog: int = BACKLOG,
        lost: Callable[[int], None] = lambda events: None,
    ) -> None:
        self._generation = secrets.token_hex(6)
        self._number = 0
        self._ended_seq = 0
        self._vouched = 0
        self._late = 0
        self._ring: deque[Published] = deque(maxlen=remembered)
        self._remembered = remembered
        self._backlog = backlog
        self._lost = lost
        self._readers: set[Subscription] = set()
        # Publishers may be silent while nobody watches. For as many events as the ring holds the bus passes for watched
        # after its last reader has left, so that one that comes back soon is told everything.
        self._lingering = 0
        self._gap = 0
        self._closed = False

    @property
    def watched(self) -> bool:
        """Whether events find a reader; while not, they need not be published."""
        return bool(self._readers) or self._lingering > 0

    @property
    def readers(self) -> int:
        """How many read now."""
        return len(self._readers)

    @property
    def place(self) -> EventId:
        """Where the stream stands now."""
        return EventId(generation=self._generation, number=self._number, ended_seq=self._vouched)

    def remember_ended(self, ended_seq: int) -> None:
        """Tells the bus of a history that is older than its own life."""
        self._ended_seq = max(self._ended_seq, ended_seq)
        if not self._late:
            self._vouched = self._ended_seq

    @contextmanager
    def telling_later(self) -> Iterator[None]:
        """Hold back the ids of ends that are recorded already and published later, or in several turns of the loop.

        Others may be published in between; until all are, no id vouches for any of them, lest a reader that leaves
        meanwhile is never told of those that were still to come. If an exception ends the block, some of them may never
        be published: every reader is sent back to the records, which have them.
        """
        self._late += 1
        try:
            yield
        except BaseException:
            self._generation = secrets.token_hex(6)
            self._ring.clear()
            self.cut()
            raise
        finally:
            self._late -= 1
            if not self._late:
                self._vouched = self._ended_seq

    def publish(self, event: Event) -> None:
        """Tells every reader. Never waits."""
        self._number += 1
        if isinstance(event, DownloadEnded) and event.download.result.ended_seq is not None:
            self.remember_ended(event.download.result.ended_seq)
        if not self.watched:
            return
        if not self._readers:
            self._lingering -= 1
        published = Published(self.place, event)
        self._ring.append(published)
        for reader in self._readers:
            reader.offer(published)

    def subscribe(self, after: EventId | None = None) -> Subscription:
        """A reader's queue from now on, with what it missed since `after` as far as the bus still knows."""
        if not self.watched:
            # Nobody watched, so not everything was published: a number that no event has marks the gap.
            self._number += 1
            self._gap = self._number
            self._ring.clear()
        subscription = Subscription(self.place, self._since(after), self._backlog, self._drop, self._lost)
        self._readers.add(subscription)
        if self._closed:
            subscription.cut()
        return subscription

    def close(self) -> None:
        """Ends every subscription, now and later."""
        self._closed = True
        self.cut()

    def cut(self) -> None:
        """Ends every subscription: who may still read comes back, and is told what it missed."""
        for reader in self._readers:
            reader.cut()

    def _since(self, after: EventId | None) -> tuple[Published, ...] | None:
        if after is None or after.generation != self._generation or after.number > self._number:
            return None
        oldest = self._ring[0].id.number if self._ring else self._number + 1
        if after.number + 1 < oldest or after.number < self._gap:
            return None
        return tuple(published for published in self._ring if published.id.number > after.number)

    def _drop(self, subscription: Subscription) -> None:
        self._readers.discard(subscription)
        if not self._readers:
            self._lingering = self._remembered
