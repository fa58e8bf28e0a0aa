"""Record of the storage root that was used last, in PostgreSQL."""

from typing import Final

import asyncpg
import msgspec

from downloadd.records.postgres.access import PostgresAccess
from downloadd.records.storage_roots import decode_root
from downloadd.root_identity import RootIdentity

_SELECT: Final = "SELECT identity FROM storage_root"
_DELETE: Final = "DELETE FROM storage_root"
_LOCK: Final = "LOCK TABLE storage_root IN EXCLUSIVE MODE"
_INSERT: Final = "INSERT INTO storage_root VALUES ($1)"


class PostgresStorageRoot:
    """`StorageRootRecords` in PostgreSQL."""

    def __init__(self, access: PostgresAccess) -> None:
        self._access = access

    async def load(self) -> RootIdentity | None:
        """Return the root that was saved last; see `StorageRootRecords.load`."""
        encoded = await self._access.read(lambda connection: connection.fetchval(_SELECT))
        return None if encoded is None else decode_root(encoded)

    async def save(self, identity: RootIdentity) -> None:
        """Save the root; see `StorageRootRecords.save`."""
        encoded = msgspec.json.encode(identity).decode()

        async def write(connection: asyncpg.Connection) -> None:
            await connection.execute(_DELETE)
            await connection.execute(_INSERT, encoded)

        await self._access.write(write)

    async def save_first(self, identity: RootIdentity) -> RootIdentity:
        """Save the root if none is recorded; see `StorageRootRecords.save_first`."""
        proposed = msgspec.json.encode(identity).decode()

        async def write(connection: asyncpg.Connection) -> RootIdentity:
            # Two nodes may begin at once.
            await connection.execute(_LOCK)
            encoded = await connection.fetchval(_SELECT)
            recorded = None if encoded is None else decode_root(encoded)
            if recorded is None:
                await connection.execute(_DELETE)
                await connection.execute(_INSERT, proposed)
            return recorded or identity

        return await self._access.write(write)
