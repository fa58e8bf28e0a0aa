"""Waiting downloads whose requests state a time before which they do not start.

They wait by wall time, unlike the delays between attempts: a clock that is set changes when they start. Pure: no I/O
and no clock; the caller passes the Unix time. Time: every call is logarithmic in the number of downloads.
"""

from collections.abc import Iterable, Iterator
from heapq import heappop, heappush

from msgspec.structs import replace

from downloadd.records.protocol import WaitingDownload
from downloadd.records.queue_places import QueueEntry


class ScheduledStarts:
    """The downloads that wait for their time, by `seq`."""

    def __init__(self) -> None:
        # An entry of the heap is valid only while this has a download with the same time.
        self._waiting: dict[int, WaitingDownload] = {}
        self._heap: list[tuple[float, int]] = []

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, waiting: WaitingDownload) -> None:
        """Add a download with a time, in place of an earlier entry of it."""
        if waiting.start_after is not None:
            self._waiting[waiting.seq] = waiting
            heappush(self._heap, (waiting.start_after, waiting.seq))

    def discard(self, seq: int) -> bool:
        """Remove a download; return False if it does not wait here."""
        return self._waiting.pop(seq, None) is not None

    def reorder(self, entries: Iterable[QueueEntry]) -> None:
        """Give downloads other places in the queue that they join; others are ignored."""
        for entry in entries:
            waiting = self._waiting.get(entry.seq)
            if waiting is not None:
                self._waiting[entry.seq] = replace(waiting, priority=entry.priority, place=entry.place)

    def pop_due(self, wall_time: float) -> Iterator[WaitingDownload]:
        """Remove the downloads whose time has come, and yield them."""
        while self._heap and self._heap[0][0] <= wall_time:
            time, seq = heappop(self._heap)
            waiting = self._waiting.get(seq)
            if waiting is not None and waiting.start_after == time:
                del self._waiting[seq]
                yield waiting

    def next_due(self) -> float | None:
        """Return the Unix time at which `pop_due` may have a download; None for never."""
        return self._heap[0][0] if self._heap else None
