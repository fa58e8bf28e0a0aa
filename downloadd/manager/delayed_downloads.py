"""Downloads that wait for a time before they join the queue of their route.

Pure: no I/O and no clock; the caller passes the time, always by the same clock. Time: every call is logarithmic in the
number of downloads.
"""

from collections.abc import Iterator
from heapq import heappop, heappush

from downloadd.manager.waiting_queues import QueueKey, Route, route_of, seq_of


class DelayedDownloads:
    """The downloads that wait for a time, by `seq`."""

    def __init__(self) -> None:
        # An entry of the heap is valid only while this holds the very same key object and time.
        self._delayed: dict[int, tuple[float, QueueKey]] = {}
        self._heap: list[tuple[float, QueueKey]] = []

    def __len__(self) -> int:
        return len(self._delayed)

    def route(self, seq: int) -> Route | None:
        """Return the route of a download; None if it waits for no time."""
        delayed = self._delayed.get(seq)
        return None if delayed is None else route_of(delayed[1])

    def add(self, key: QueueKey, due: float) -> None:
        """Add a download, in place of an earlier entry of it, until the time `due`."""
        self._delayed[seq_of(key)] = delayed = due, key
        heappush(self._heap, delayed)

    def reorder(self, seq: int, priority: int, place: float) -> bool:
        """Give a download another place in its queue; return False if it waits for no time."""
        delayed = self._delayed.get(seq)
        if delayed is None:
            return False
        due, key = delayed
        self.add((-priority, place, seq, route_of(key)), due)
        return True

    def discard(self, seq: int) -> bool:
        """Remove a download; return False if it waits for no time."""
        return self._delayed.pop(seq, None) is not None

    def pop_due(self, now: float) -> Iterator[QueueKey]:
        """Remove the downloads whose time has come, and yield their keys."""
        while self._heap and self._heap[0][0] <= now:
            delayed = heappop(self._heap)
            seq = seq_of(delayed[1])
            if self._delayed.get(seq) is delayed:
                del self._delayed[seq]
                yield delayed[1]

    def next_due(self) -> float | None:
        """Return the time at which `pop_due` may have a download; None for never."""
        return self._heap[0][0] if self._heap else None
