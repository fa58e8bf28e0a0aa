"""Record of the storage root that was used last, in the database of the downloads."""

import sqlite3
from typing import Final, Protocol

import msgspec
import structlog

from downloadd.records.access import DatabaseAccess
from downloadd.root_identity import RootIdentity

log = structlog.get_logger()

_SELECT: Final = "SELECT identity FROM storage_root"
_DELETE: Final = "DELETE FROM storage_root"
_INSERT: Final = "INSERT INTO storage_root VALUES (?)"


class StorageRootRecords(Protocol):
    """Durable record of the storage root."""

    async def load(self) -> RootIdentity | None:
        """Return the root that was saved last; None if none was, or its record is damaged."""
        ...

    async def save(self, identity: RootIdentity) -> None:
        """Save the root, durable on return."""
        ...

    async def save_first(self, identity: RootIdentity) -> RootIdentity:
        """Save the root if none is recorded; return the recorded one, durable on return."""
        ...


class SqliteStorageRoot:
    """`StorageRootRecords` in SQLite."""

    def __init__(self, access: DatabaseAccess) -> None:
        self._access = access

    async def load(self) -> RootIdentity | None:
        """Return the root that was saved last; see `StorageRootRecords.load`."""
        row = await self._access.read(lambda connection: connection.execute(_SELECT).fetchone())
        return None if row is None else decode_root(row[0])

    async def save(self, identity: RootIdentity) -> None:
        """Save the root; see `StorageRootRecords.save`."""
        encoded = msgspec.json.encode(identity).decode()

        def write(cursor: sqlite3.Cursor) -> None:
            cursor.execute(_DELETE)
            cursor.execute(_INSERT, (encoded,))

        await self._access.write(write)

    async def save_first(self, identity: RootIdentity) -> RootIdentity:
        """Save the root if none is recorded; see `StorageRootRecords.save_first`."""
        encoded = msgspec.json.encode(identity).decode()

        def write(cursor: sqlite3.Cursor) -> RootIdentity:
            row = cursor.execute(_SELECT).fetchone()
            recorded = None if row is None else decode_root(row[0])
            if recorded is None:
                cursor.execute(_DELETE)
                cursor.execute(_INSERT, (encoded,))
            return recorded or identity

        return await self._access.write(write)


def decode_root(encoded: str) -> RootIdentity | None:
    """Return a recorded root; None, and an entry in the log, if the record is damaged."""
    try:
        return msgspec.json.decode(encoded, type=RootIdentity)
    except (msgspec.MsgspecError, TypeError) as error:
        log.error("storage_root_record_corrupt", detail=str(error))
        return None
