"""Records of the users that several nodes share, in PostgreSQL."""

from collections.abc import Sequence
from typing import Any, Final

import asyncpg
import msgspec

from downloadd.config import UserConfig
from downloadd.records.postgres.access import PostgresAccess
from downloadd.records.postgres.row_reader import RowReader
from downloadd.records.rows import Row, corrupt_row_error

_COLUMNS: Final = frozenset({"id", "token_hash"})
_LIST: Final = 'SELECT id, token_hash, settings FROM users ORDER BY id COLLATE "C"'
_ADD: Final = "INSERT INTO users (id, token_hash, settings) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING"
_ROTATE: Final = "UPDATE users SET token_hash = $2 WHERE id = $1 RETURNING id, token_hash, settings"
_REMOVE: Final = "DELETE FROM users WHERE id = $1"


class PostgresUsers:
    """`UserRecords` in PostgreSQL."""

    def __init__(self, access: PostgresAccess) -> None:
        self._access = access
        self._row_reader = RowReader()

    async def list(self) -> Sequence[UserConfig]:
        """Return all users; see `UserRecords.list`."""
        return await self._access.read(lambda connection: self._row_reader.rows(connection, _LIST, (), _decode))

    async def add(self, user: UserConfig) -> bool:
        """Insert a user; see `UserRecords.add`."""
        fields = msgspec.to_builtins(user)
        settings = msgspec.json.encode({name: fields[name] for name in fields.keys() - _COLUMNS}).decode()
        # No rows of downloads.
        return await self._access.execute(_ADD, user.id, user.token_hash, settings, rows=0) == 1

    async def rotate(self, id: str, token_hash: str) -> UserConfig | None:
        """Give a user another token; see `UserRecords.rotate`."""

        async def write(connection: asyncpg.Connection) -> UserConfig | None:
            row = await connection.fetchrow(_ROTATE, id, token_hash)
            return None if row is None else _decode(tuple(row))

        return await self._access.write(write, rows=0)

    async def remove(self, id: str) -> bool:
        """Remove a user; see `UserRecords.remove`."""
        return await self._access.execute(_REMOVE, id, rows=0) == 1


def _decode(row: Row) -> UserConfig:
    """Return the user of a row.

    Raises:
        StorageError: the row is damaged.
    """
    id, token_hash, settings = row
    try:
        given = msgspec.json.decode(settings, type=dict[str, Any])
        # A node of a newer version may know further ones.
        fields = {name: value for name, value in given.items() if name in UserConfig.__struct_fields__}
        return msgspec.convert({**fields, "id": id, "token_hash": token_hash}, UserConfig)
    except msgspec.MsgspecError as error:
        raise corrupt_row_error("user", id, str(error)) from None
