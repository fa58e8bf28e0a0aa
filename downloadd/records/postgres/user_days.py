"""Records of the bytes that users have received on a day, in PostgreSQL; see `UserDays`."""

from collections.abc import Iterable, Mapping
from typing import Final

import asyncpg

from downloadd.records.postgres.access import PostgresAccess
from downloadd.records.postgres.statements import array_of_texts
from downloadd.records.user_days import DayBytes, DayNotes

_WRITE: Final = """
INSERT INTO user_days ("user", day, process, received)
SELECT "user", day, $4, received FROM unnest($1::text[], $2::text[], $3::bigint[]) AS noted ("user", day, received)
ORDER BY "user", day
ON CONFLICT ("user", day, process) DO UPDATE SET received = greatest(user_days.received, excluded.received)
"""
_READ: Final = """
SELECT asked."user", coalesce(sum(user_days.received), 0)::bigint
FROM unnest($1::text[], $2::text[]) AS asked ("user", day)
LEFT JOIN user_days ON user_days."user" = asked."user" AND user_days.day = asked.day AND process <> $3
GROUP BY asked."user"
"""
_FORGET: Final = "DELETE FROM user_days WHERE day < $1"


class PostgresUserDays:
    """`UserDays` in PostgreSQL.

    Attributes:
        notes: what the next write of a run records.
    """

    def __init__(self, access: PostgresAccess) -> None:
        self._access = access
        self.notes = DayNotes()

    def note(self, received: DayBytes) -> None:
        """See `UserDays.note`."""
        self.notes.add(received)

    async def others(self, days: Mapping[str, str]) -> Mapping[str, int]:
        """See `UserDays.others`."""
        parameters = (array_of_texts(days), array_of_texts(days.values()), self.notes.process)
        rows = await self._access.read(lambda connection: connection.fetch(_READ, *parameters))
        return dict(map(tuple, rows))

    async def forget(self, before: str) -> None:
        """See `UserDays.forget`."""
        await self._access.execute(_FORGET, before, rows=0)


async def write_notes(connection: asyncpg.Connection, process: str, notes: Iterable[DayBytes]) -> None:
    """Record notes in the transaction of a connection; of several about one day, the greatest."""
    greatest: dict[tuple[str, str], int] = {}
    for one in notes:
        key = one.user, one.day
        greatest[key] = max(one.received, greatest.get(key, 0))
    if greatest:
        users, days = zip(*greatest, strict=True)
        await connection.execute(_WRITE, array_of_texts(users), array_of_texts(days), list(greatest.values()), process)
