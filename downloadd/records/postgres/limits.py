"""Records of the limits that users have changed for all nodes, in PostgreSQL."""

from collections.abc import Collection, Mapping
from typing import Final

from downloadd.records.postgres.access import PostgresAccess

_LOAD: Final = "SELECT name, value FROM limits"
_CHANGE: Final = """
INSERT INTO limits (name, value, changed_at) SELECT *, $3 FROM unnest($1::text[], $2::bigint[])
ON CONFLICT (name) DO UPDATE SET value = excluded.value, changed_at = excluded.changed_at
"""
_WITHDRAW: Final = "DELETE FROM limits WHERE name = ANY($1::text[]) AND changed_at < $2"


class PostgresLimits:
    """`LimitRecords` in PostgreSQL."""

    def __init__(self, access: PostgresAccess) -> None:
        self._access = access

    async def load(self) -> Mapping[str, int]:
        """Return the changed limits; see `LimitRecords.load`."""
        return dict(await self._access.read(lambda connection: connection.fetch(_LOAD)))

    async def change(self, limits: Mapping[str, int], *, now: float) -> None:
        """Change limits; see `LimitRecords.change`."""
        # In one order, so that two changes do not wait for each other.
        names = sorted(limits)
        await self._access.execute(_CHANGE, names, [limits[name] for name in names], now, rows=0)

    async def withdraw(self, names: Collection[str], *, before: float) -> None:
        """Remove limits; see `LimitRecords.withdraw`."""
        await self._access.execute(_WITHDRAW, list(names), before, rows=0)
