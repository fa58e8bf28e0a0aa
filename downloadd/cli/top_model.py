"""State of `top`: the downloads in their order, the selected one, and what a key does.

Pure: no I/O and no clock.
"""

import re
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, Final

import msgspec

from downloadd.client import ActiveEntry
from downloadd.states import ACTIVE, RUNNING, Trigger, allowing


class SortKey(StrEnum):
    """Column that the downloads are sorted by."""

    SPEED = "speed"
    STATE = "state"
    NAME = "name"
    AMOUNT = "amount"
    LEFT = "left"


_NEVER: Final = 1 << 62
_ORDERS: Final[Mapping[SortKey, Callable[[ActiveEntry], Any]]] = {
    SortKey.SPEED: lambda entry: -(entry.speed or 0),
    SortKey.STATE: lambda entry: (entry.status not in RUNNING, entry.status),
    SortKey.NAME: lambda entry: entry.file_path or entry.url,
    SortKey.AMOUNT: lambda entry: -(entry.current_size or 0),
    SortKey.LEFT: lambda entry: _NEVER if entry.eta is None else entry.eta,
}
ACTIONS: Final[Mapping[str, Trigger]] = {"p": Trigger.PAUSE, "u": Trigger.RESUME, "c": Trigger.CANCEL}
"""What a key does with the selected download."""
HELP: Final = "↑↓ select  p pause  u resume  c cancel  t top of the queue  s sort  r reverse  q quit"
_UP: Final = frozenset({"\x1b[A", "\x1bOA", "k"})
_DOWN: Final = frozenset({"\x1b[B", "\x1bOB", "j"})
_QUIT: Final = frozenset({"q", "\x03", "\x04"})


_KEY: Final = re.compile(r"\x1b[\[O].|.", re.DOTALL)


def split_keys(text: str) -> list[str]:
    """Return the keys in what a terminal sent: several may come at once."""
    return _KEY.findall(text)


class Act(msgspec.Struct, frozen=True, kw_only=True):
    """An action on a download that a key requests; None for a move to the top."""

    id: str
    trigger: Trigger | None


class Quit(msgspec.Struct, frozen=True):
    """A request to end."""


class TopModel:
    """Downloads, order and selection."""

    def __init__(self, sort: SortKey = SortKey.SPEED) -> None:
        self.sort = sort
        self.is_reversed = False
        self.message = ""
        self.selected: str | None = None
        self._entries: dict[str, ActiveEntry] = {}
        self._to_confirm: str | None = None

    def update(self, entry: ActiveEntry) -> None:
        """Add an active download, or show how it is now."""
        self._entries[entry.id] = entry

    def remove(self, id: str) -> None:
        """Remove a download that has ended; the next one is selected."""
        order = [entry.id for entry in self.ordered()]
        if id == self.selected:
            index = order.index(id)
            rest = [other for other in order if other != id]
            self.selected = rest[min(index, len(rest) - 1)] if rest else None
        self._entries.pop(id, None)

    def ordered(self) -> list[ActiveEntry]:
        """Return all downloads in their order; those that are equal in it by their ids."""
        entries = sorted(self._entries.values(), key=lambda entry: entry.id)
        return sorted(entries, key=_ORDERS[self.sort], reverse=self.is_reversed)

    def visible(self, rows: int) -> list[ActiveEntry]:
        """Return the downloads of a screen with so many rows; the selected one is among them."""
        entries = self.ordered()
        index = next((number for number, entry in enumerate(entries) if entry.id == self.selected), 0)
        first = max(0, min(index - rows + 1 + rows // 2, len(entries) - rows))
        return entries[first : first + rows]

    def press(self, key: str) -> Act | Quit | None:
        """Return what a key requests of the caller; None if it only changes the screen or nothing."""
        to_confirm, self._to_confirm = self._to_confirm, None
        if to_confirm is not None:
            self.message = ""
            return Act(id=to_confirm, trigger=Trigger.CANCEL) if key == "y" else None
        if key in _QUIT:
            return Quit()
        if key in _UP or key in _DOWN:
            self._select(-1 if key in _UP else 1)
        elif key == "s":
            keys = list(SortKey)
            self.sort = keys[(keys.index(self.sort) + 1) % len(keys)]
        elif key == "r":
            self.is_reversed = not self.is_reversed
        elif key in ACTIONS or key == "t":
            return self._act(ACTIONS.get(key))
        return None

    def _select(self, step: int) -> None:
        order = [entry.id for entry in self.ordered()]
        if order:
            index = order.index(self.selected) + step if self.selected in order else 0
            self.selected = order[max(0, min(index, len(order) - 1))]

    def _act(self, trigger: Trigger | None) -> Act | None:
        entry = None if self.selected is None else self._entries.get(self.selected)
        if entry is None:
            self.message = "Select a download first, with the arrow keys."
            return None
        if trigger is not None and entry.status not in allowing(trigger) & ACTIVE:
            self.message = f"It cannot be changed in this way: {entry.status}."
            return None
        if trigger is Trigger.CANCEL:
            self._to_confirm = entry.id
            self.message = "Cancel it, and remove its received bytes? y for yes, another key for no."
            return None
        return Act(id=entry.id, trigger=trigger)
