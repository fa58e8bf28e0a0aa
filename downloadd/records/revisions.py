"""Revisions of the lists that clients poll: numbers that grow with each durable change, whichever statement makes it.

Triggers of the writing connection call a function for each row of a list that a statement changes. No other program
writes to the database: the state directory is locked.
"""

import sqlite3
from collections.abc import Callable
from typing import Final

import msgspec

from downloadd.records.queue_moves import is_listed

_NOTE_CHANGE: Final = "note_change"
"""Name of the SQL function."""


def _is_ended(row: str) -> str:
    return f"{row}.ended_seq IS NOT NULL"


# The SQL is composed of constants of this package only.
_LISTED: Final = f"({is_listed('old')} OR {is_listed('new')})"
_ENDED: Final = f"({_is_ended('old')} OR {_is_ended('new')})"
_MOVED: Final = "old.state IS NOT new.state"
_TRIGGERS: Final = {
    f"noted_update AFTER UPDATE ON main.downloads WHEN {_LISTED} OR {_ENDED} OR {_MOVED}": (
        f"old.seq, {_LISTED}, {_ENDED}, {_MOVED}"
    ),
    "noted_insert AFTER INSERT ON main.downloads": f"new.seq, {is_listed('new')}, {_is_ended('new')}, 1",
    "noted_delete AFTER DELETE ON main.downloads": f"old.seq, {is_listed('old')}, {_is_ended('old')}, 1",
    "noted_clearing AFTER UPDATE ON main.cleared_results": "NULL, 0, 1, 0",
}
"""Arguments of the function by the trigger that calls it."""


class ChangedRows(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of the lists that transactions have changed."""

    seqs: frozenset[int]
    """The rows that were or are in one of the lists, or whose state has changed."""
    waiting: bool
    """True if the waiting list has changed: its order, or a row of it."""
    results: bool
    """True if an ended download has changed, or what is cleared."""
    states: bool
    """True if the number of downloads in a state has changed."""


class Revisions:
    """Revisions of the lists. For the event loop, except `open` and `take_changes`, which the writing thread calls.

    Attributes:
        waiting: revision of the waiting list, which grows when its order or a row of it has changed.
        results: revision of the ended downloads, which grows when one of them, or what is cleared, has changed.
        states: revision of the states of all downloads.
    """

    def __init__(self, on_change: Callable[[frozenset[int]], None] = lambda seqs: None) -> None:
        """Begin with no change; `on_change` is called with the `seq` of the changed rows."""
        self.waiting = self.results = self.states = 0
        self._on_change = on_change
        self._seqs: set[int] = set()
        self._flags = [False, False, False]

    def open(self, connection: sqlite3.Connection) -> None:
        """Notice the changes that a connection writes from now on."""
        connection.create_function(_NOTE_CHANGE, 4, self._note)
        for trigger, arguments in _TRIGGERS.items():
            connection.execute(f"CREATE TEMP TRIGGER {trigger} BEGIN SELECT {_NOTE_CHANGE}({arguments}); END")

    def take_changes(self) -> Callable[[], None] | None:
        """Return the function that makes the changes so far known; None if there are none.

        Call this after the transactions are durable, and the function on the event loop before their callers continue:
        a read that began before it may be too old.
        """
        if not self._seqs and not any(self._flags):
            return None
        waiting, results, states = self._flags
        changed = ChangedRows(seqs=frozenset(self._seqs), waiting=waiting, results=results, states=states)
        self._seqs.clear()
        self._flags = [False, False, False]
        return lambda: self._publish(changed)

    def _note(self, seq: int | None, listed: int, ended: int, moved: int) -> None:
        if seq is not None:
            self._seqs.add(seq)
        waiting, results, states = self._flags
        self._flags = [waiting or bool(listed), results or bool(ended), states or bool(moved)]

    def _publish(self, changed: ChangedRows) -> None:
        self.waiting += changed.waiting
        self.results += changed.results
        self.states += changed.states
        self._on_change(changed.seqs)
