"""Record of the storage root that was used last, in PostgreSQL."""

from typing import Final

import asyncpg
import msgspec
import structlog

from downloadd.records.postgres.access import PostgresAccess
from downloadd.root_identity import RootIdentity

log = structlog.get_logger()

_SELECT: Final = "SELECT identity FROM storage_root"
_DELETE: Final = "DELETE FROM storage_root"
_INSERT: Final = "INSERT INTO storage_root VALUES ($1)"


class PostgresStorageRoot:
    """`StorageRootRecords` in PostgreSQL."""

    def __init__(self, access: PostgresAccess) -> None:
        self._access = access

    async def load(self) -> RootIdentity | None:
        """Return the root that was saved last; see `StorageRootRecords.load`."""
        identity = await self._access.read(lambda connection: connection.fetchval(_SELECT))
        if identity is None:
            return None
        try:
            return msgspec.json.decode(identity, type=RootIdentity)
        except msgspec.MsgspecError as error:
            log.error("storage_root_record_corrupt", detail=str(error))
            return None

    async def save(self, identity: RootIdentity) -> None:
        """Save the root; see `StorageRootRecords.save`."""
        encoded = msgspec.json.encode(identity).decode()

        async def write(connection: asyncpg.Connection) -> None:
            await connection.execute(_DELETE)
            await connection.execute(_INSERT, encoded)

        await self._access.write(write)
