"""Records of origins that are not healthy, in PostgreSQL."""

from typing import Final

import msgspec

from downloadd.records.origins import MAX_ORIGINS, OriginRecord
from downloadd.records.postgres.access import PostgresAccess
from downloadd.records.postgres.row_reader import RowReader
from downloadd.records.rows import Row, decode_struct

_FIELDS: Final = OriginRecord.__struct_fields__
# The SQL is composed of the names in the struct only.
# ruff: noqa: S608
_LOAD: Final = (
    f"SELECT {', '.join(_FIELDS)} FROM origins ORDER BY greatest(backoff_until, probe_at) DESC, origin LIMIT $1"
)
_SAVE: Final = (
    f"INSERT INTO origins ({', '.join(_FIELDS)}) VALUES ({', '.join(f'${n}' for n in range(1, len(_FIELDS) + 1))}) "
    f"ON CONFLICT (origin) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in _FIELDS)}"
)
_REMOVE: Final = "DELETE FROM origins WHERE origin = $1"


class PostgresOrigins:
    """`OriginRecords` in PostgreSQL."""

    def __init__(self, access: PostgresAccess) -> None:
        self._access = access
        self._row_reader = RowReader()

    async def load(self) -> list[OriginRecord]:
        """See `OriginRecords.load`."""
        return await self._access.read(
            lambda connection: self._row_reader.page(connection, _LOAD, (MAX_ORIGINS,), _decode)
        )

    async def save(self, record: OriginRecord) -> None:
        """See `OriginRecords.save`."""
        await self._access.execute(_SAVE, *msgspec.structs.astuple(record))

    async def remove(self, origin: str) -> None:
        """See `OriginRecords.remove`."""
        await self._access.execute(_REMOVE, origin)


def _decode(row: Row) -> OriginRecord:
    return decode_struct(row, OriginRecord, name=0, kind="origin")
