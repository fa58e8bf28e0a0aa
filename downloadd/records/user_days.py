"""Records of the bytes that users have received on a day.

A process notes what it has received in memory; the next write of a run records it in its own transaction, so that
counting costs no write of its own.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Final, Protocol
from uuid import uuid4

import msgspec

from downloadd.records.access import DatabaseAccess

_WRITE: Final = (
    "INSERT INTO user_days (user, day, process, received) VALUES (?, ?, ?, ?) "
    "ON CONFLICT (user, day, process) DO UPDATE SET received = max(received, excluded.received)"
)
_READ: Final = "SELECT sum(received) FROM user_days WHERE user = ? AND day = ? AND process <> ?"
_FORGET: Final = "DELETE FROM user_days WHERE day < ?"


class DayBytes(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes that the downloads of a user have received in this process on a day."""

    user: str
    day: str
    """ISO 8601, in the time zone of the user."""
    received: int


class UserDays(Protocol):
    """Durable records of the bytes of users by day."""

    def note(self, received: DayBytes) -> None:
        """Record this with the next write of a run, in place of what was noted of that user and day before."""
        ...

    async def others(self, days: Mapping[str, str]) -> Mapping[str, int]:
        """Return what other processes, also earlier ones, have received for users on a day of each.

        Raises:
            StoreUnavailableError: the store cannot be used at the moment.
        """
        ...

    async def forget(self, before: str) -> None:
        """Remove all days before one."""
        ...


class DayNotes:
    """What a process has noted and not recorded yet.

    Attributes:
        process: names this process among all that write the records.
    """

    def __init__(self) -> None:
        self.process = uuid4().hex
        self._notes: dict[tuple[str, str], int] = {}

    def add(self, received: DayBytes) -> None:
        """Add a note in place of an earlier one."""
        self._notes[received.user, received.day] = received.received

    def pending(self) -> Sequence[DayBytes]:
        """Return what is to be recorded, in one order."""
        if not self._notes:
            return ()
        return [DayBytes(user=user, day=day, received=n) for (user, day), n in sorted(self._notes.items())]

    def confirm(self, recorded: Sequence[DayBytes]) -> None:
        """Forget notes that are recorded, unless they were replaced since."""
        for one in recorded:
            if self._notes.get((one.user, one.day)) == one.received:
                del self._notes[one.user, one.day]


class SqliteUserDays:
    """`UserDays` in SQLite.

    Attributes:
        notes: what the next write of a run records.
    """

    def __init__(self, access: DatabaseAccess) -> None:
        self._access = access
        self.notes = DayNotes()

    def note(self, received: DayBytes) -> None:
        """See `UserDays.note`."""
        self.notes.add(received)

    async def others(self, days: Mapping[str, str]) -> Mapping[str, int]:
        """See `UserDays.others`."""

        def read(connection: sqlite3.Connection) -> Mapping[str, int]:
            return {
                user: connection.execute(_READ, (user, day, self.notes.process)).fetchone()[0] or 0
                for user, day in days.items()
            }

        return await self._access.read(read)

    async def forget(self, before: str) -> None:
        """See `UserDays.forget`."""

        def write(cursor: sqlite3.Cursor) -> None:
            cursor.execute(_FORGET, (before,))

        await self._access.write(write)

    def write(self, cursor: sqlite3.Cursor, notes: Sequence[DayBytes]) -> None:
        """Record notes in the transaction of a cursor."""
        if notes:
            cursor.executemany(_WRITE, [(one.user, one.day, self.notes.process, one.received) for one in notes])
