"""Slots of origins without a scheduler."""

from collections import Counter
from collections.abc import Mapping


class FakeSlots:
    """Slots of origins; counts those that are acquired.

    Attributes:
        free: free slots of all origins together.
        acquired: slots in use by origin.
        target: the origin behind redirects of which the run has a slot; "" for none.
    """

    def __init__(self, free: int = 1000, *, limits: Mapping[str, int] | None = None) -> None:
        """Make slots; `limits` are those of single origins."""
        self.free = free
        self.acquired: Counter[str] = Counter()
        self.target = ""
        self._limits = limits or {}

    async def acquire(self, seq: int, origin: str, count: int) -> int:
        return self._take(origin, count)

    def _take(self, origin: str, count: int) -> int:
        used = self.acquired[origin]
        slots = min(count, self.free, self._limits.get(origin, used + count) - used)
        self.free -= slots
        self.acquired[origin] += slots
        return slots

    def release(self, seq: int, origin: str, slots: int) -> None:
        self.free += slots
        self.acquired[origin] -= slots

    async def enter(self, seq: int, source: str, origin: str) -> bool:
        if origin == self.target:
            return True
        self.leave(seq)
        has_slot = self._take(origin, 1) == 1
        self.target = origin if has_slot else ""
        return has_slot

    def leave(self, seq: int) -> None:
        if self.target:
            self.release(seq, self.target, 1)
        self.target = ""
