"""Slots of the origins that the requests of one attempt lead to, after redirects, and those of further connections.

The run has one slot for all requests that follow each other; each further connection at the same time needs its own.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Protocol

from downloadd.transfer.sources import Source


class ConnectionSlots(Protocol):
    """Slots of origins, for the connections of running downloads, by their `seq`.

    A cancelled call has taken no slot. All slots of a run are free when it has ended.
    """

    async def acquire(self, seq: int, origin: str, count: int) -> int:
        """Acquire up to `count` free slots of an origin, beside the one of the run; return their number."""
        ...

    def release(self, seq: int, origin: str, slots: int) -> None:
        """Release acquired slots."""
        ...

    async def enter(self, seq: int, source: str, origin: str) -> bool:
        """Move the slot of a run to the origin that redirects of `source` lead to; return False without a free one.

        The slot is free again when the run ends, or is led elsewhere.
        """
        ...

    def leave(self, seq: int) -> None:
        """Release the slot of a run at an origin behind redirects."""
        ...


class NoTargetSlotError(Exception):
    """The origin that a redirect leads to has no free slot.

    Attributes:
        origin: that origin.
    """

    def __init__(self, origin: str) -> None:
        super().__init__(f"no slot is free at {origin}")
        self.origin = origin


class RedirectSlots:
    """Slots of one attempt at the targets of redirects.

    Attributes:
        targets: the origins that requests were led to last, by the origin of their source.
        redirected_by: the origins that have answered with a redirect.
    """

    def __init__(self, seq: int, slots: ConnectionSlots) -> None:
        """Make the slots of a run of the download `seq`."""
        self.targets: dict[str, str] = {}
        self.redirected_by: set[str] = set()
        self._seq = seq
        self._slots = slots
        self._is_used = False

    def leave_unused(self) -> None:
        """Release the slot of the run at a target unless a connection uses it."""
        if not self._is_used:
            self._slots.leave(self._seq)

    @asynccontextmanager
    async def enter(self, source: str, origin: str) -> AsyncIterator[None]:
        """Keep a slot for the connection to the target of a redirect.

        Raises:
            NoTargetSlotError: none is free.
        """
        if origin == source:
            # The connection has a slot of its source.
            self.targets.pop(source, None)
            yield
            return
        self.targets[source] = origin
        if not self._is_used:
            self._is_used = True
            try:
                if not await self._slots.enter(self._seq, source, origin):
                    raise NoTargetSlotError(origin)
                yield
            finally:
                self._is_used = False
        elif await self._slots.acquire(self._seq, origin, 1):
            try:
                yield
            finally:
                self._slots.release(self._seq, origin, 1)
        else:
            raise NoTargetSlotError(origin)


class RequestPath:
    """The way of one request through redirects.

    Attributes:
        origin: the origin that the request is at.
    """

    def __init__(self, source: str, slots: RedirectSlots) -> None:
        """Make the way of a request that begins at the origin `source`."""
        self.origin = source
        self._source = source
        self._slots = slots

    @asynccontextmanager
    async def enter(self, origin: str) -> AsyncIterator[None]:
        """Keep a slot for the connection to the target of the next redirect; see `RedirectSlots.enter`."""
        if origin != self.origin:
            self._slots.redirected_by.add(self.origin)
        self.origin = origin
        async with self._slots.enter(self._source, origin):
            yield


@asynccontextmanager
async def distributed_slots(
    sources: Sequence[Source], count: int, *, seq: int, slots: ConnectionSlots
) -> AsyncIterator[int]:
    """Distribute up to `count` slots of a run among the sources; each gets one before any gets two.

    The first slot of the first source is the one that the run has. Yields the number of slots in all, which are set in
    the sources; the acquired ones are released at the end.

    Args:
        sources: in the order of preference.
        count: slots in all.
        seq: number of the download.
        slots: where slots are acquired.
    """
    acquired: list[str] = []
    for source in sources:
        source.slots = 0
    sources[0].slots = 1
    candidates = [*sources[1:], sources[0]]
    try:
        while candidates and 1 + len(acquired) < count:
            source = candidates.pop(0)
            if await slots.acquire(seq, source.origin, 1):
                acquired.append(source.origin)
                source.slots += 1
                candidates.append(source)
        yield 1 + len(acquired)
    finally:
        for origin in acquired:
            slots.release(seq, origin, 1)
