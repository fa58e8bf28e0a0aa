"""Slots that this node holds in shared records, and those that it has freed and not written yet.

Pure: no I/O and no clock.
"""

from collections.abc import Iterable, Sequence

from downloadd.records.admission import SlotHolding


class SlotLedger:
    """Slots by download and origin. A change is written with the number that holds at that time."""

    def __init__(self) -> None:
        self._held: dict[int, dict[str, int]] = {}
        self._changed: dict[tuple[int, str], None] = {}

    @property
    def has_changes(self) -> bool:
        """Return True if slots were freed that the records have still."""
        return bool(self._changed)

    def number(self, seq: int, origin: str) -> int:
        """Return how many slots of an origin a download holds."""
        return self._held.get(seq, {}).get(origin, 0)

    def hold(self, seq: int, origin: str, number: int) -> None:
        """Note the number of slots that the records have now."""
        self._held.setdefault(seq, {})[origin] = number

    def lower(self, seq: int, origin: str, number: int = 1) -> None:
        """Free slots of a download; those that it does not hold are ignored."""
        held = self.number(seq, origin)
        if held and number:
            self._held[seq][origin] = max(0, held - number)
            self._changed[seq, origin] = None

    def end(self, seq: int) -> None:
        """Free all slots of a download."""
        for origin, number in self._held.get(seq, {}).items():
            self.lower(seq, origin, number)

    def pop_changes(self) -> Sequence[SlotHolding]:
        """Return the changes to write; call `put_back` if that fails."""
        changes = [
            SlotHolding(seq=seq, origin=origin, number=self.number(seq, origin)) for seq, origin in self._changed
        ]
        self._changed.clear()
        for one in changes:
            if not one.number:
                self._forget(one.seq, one.origin)
        return changes

    def put_back(self, changes: Iterable[SlotHolding]) -> None:
        """Note that changes were not written."""
        for one in changes:
            self._changed[one.seq, one.origin] = None

    def _forget(self, seq: int, origin: str) -> None:
        held = self._held.get(seq)
        if held is not None:
            held.pop(origin, None)
            if not held:
                del self._held[seq]
