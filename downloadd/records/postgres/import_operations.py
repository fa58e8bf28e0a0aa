"""Records of import operations in PostgreSQL."""

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, Final

import asyncpg
import msgspec
from msgspec.structs import replace

from downloadd.errors import StorageError
from downloadd.import_operation import FINISHED_STATES, Driver, ImportOperation, ImportState
from downloadd.import_part import operation_of_part
from downloadd.records.import_operations import COLUMNS, STORED_STATES, decode_operation, encode_operation
from downloadd.records.import_protocol import ImportFencedError
from downloadd.records.postgres.access import PostgresAccess
from downloadd.records.postgres.import_fence import fenced, holds
from downloadd.records.postgres.row_reader import RowReader
from downloadd.records.postgres.run_statements import IS_LIVING
from downloadd.records.postgres.statements import array_of_texts
from downloadd.records.protocol import PartOwner
from downloadd.records.writer import Rejection
from downloadd.states import State

# The SQL is composed of the names in the list of columns and of the words of states only.
# ruff: noqa: S608
_COLUMN_LIST: Final = ", ".join(f'"{name}"' for name in COLUMNS)
_PARAMETERS: Final = [f"${number}" for number in range(1, len(COLUMNS) + 1)]
_INSERT: Final = f"INSERT INTO operations ({_COLUMN_LIST}) VALUES ({', '.join(_PARAMETERS)})"
# A task that works for a replaced operation does not know that it is invalid.
_SET: Final = ", ".join(
    f"valid = least(valid, {parameter})" if name == "valid" else f'"{name}" = {parameter}'
    for name, parameter in zip(COLUMNS, _PARAMETERS, strict=True)
    if name not in {"id", "epoch"}
)
_UPDATE: Final = f"UPDATE operations SET {_SET} WHERE id = $1"
_CLAIM: Final = "UPDATE operations SET epoch = epoch + 1, session = $2 WHERE id = $1"
_DRIVE: Final = "UPDATE operations SET session = $2 WHERE id = $1"
_INVALIDATE: Final = 'UPDATE operations SET valid = 0 WHERE "user" = $1 AND id <> $2 AND valid = 1'
_SELECT: Final = f"SELECT {_COLUMN_LIST} FROM operations"
_CURRENT: Final = f'{_SELECT} WHERE "user" = $1 ORDER BY ts DESC, number DESC LIMIT 1'
_LATEST: Final = f"{_SELECT} ORDER BY updated_at DESC, number DESC LIMIT $1"
_BY_ID: Final = f"{_SELECT} WHERE id = $1"
_LOCKED_BY_ID: Final = f"{_BY_ID} FOR UPDATE"
_SOURCE_LIST: Final = "SELECT sources FROM operations WHERE id = $1 AND sources IS NOT NULL"
_SOURCES: Final = (
    f"{_SELECT} WHERE id IN (SELECT operation FROM import_files WHERE run = $1) OR id = ANY($2::text[]) ORDER BY number"
)
_WORDS: Final = ", ".join(f"'{STORED_STATES[state]}'" for state in sorted(FINISHED_STATES))
_IS_UNFINISHED: Final = (
    f"(status = '{STORED_STATES[ImportState.DOWNLOADING]}' OR (valid = 1 AND status NOT IN ({_WORDS})))"
)
_UNFINISHED: Final = f"{_SELECT} WHERE {_IS_UNFINISHED} ORDER BY number"
_ABANDONED: Final = (
    f"{_SELECT} WHERE {_IS_UNFINISHED} AND NOT EXISTS "
    f"(SELECT FROM nodes WHERE nodes.session = operations.session AND {IS_LIVING}) ORDER BY number"
)
_RAISE_EPOCHS: Final = f"UPDATE operations SET epoch = epoch + 1 WHERE {_IS_UNFINISHED}"
_EPOCHS: Final = f"SELECT id, epoch FROM operations WHERE {_IS_UNFINISHED} AND id = ANY($1::text[])"


async def raise_epochs(connection: asyncpg.Connection) -> None:
    """Fence the drivers of an earlier process from the operations that this one continues."""
    await connection.execute(_RAISE_EPOCHS)


async def manifest_owners(connection: asyncpg.Connection, ids: Iterable[str]) -> dict[str, PartOwner]:
    """Return the unfinished operations among the owners of part files, by the id in the name of the part."""
    part_ids = {operation: id for id in ids if (operation := operation_of_part(id)) is not None}
    if not part_ids:
        return {}
    return {
        part_ids[operation]: PartOwner(state=State.DOWNLOADING, epoch=epoch, part_name=None)
        for operation, epoch in await connection.fetch(_EPOCHS, array_of_texts(part_ids))
    }


async def source_ids(connection: asyncpg.Connection, run: str) -> list[str] | None:
    """Return the ids of the imports whose files a run downloads; None if the operation is no such run."""
    sources = await connection.fetchval(_SOURCE_LIST, run)
    return None if sources is None else msgspec.json.decode(sources, type=list[str])


async def create_operation(connection: asyncpg.Connection, operation: ImportOperation, session: str | None) -> None:
    """Insert an operation, which this session of a node drives; see `ImportOperationRecords.create`."""
    await connection.execute(_INSERT, *encode_operation(operation))
    await connection.execute(_DRIVE, operation.id, session)
    await connection.execute(_INVALIDATE, operation.user, operation.id)


class PostgresImportOperations:
    """`ImportOperationRecords` in PostgreSQL."""

    def __init__(self, access: PostgresAccess, session: Callable[[], str | None]) -> None:
        """Take the database; `session` returns the id of this start of the daemon, None before it has registered."""
        self._access = access
        self._session = session
        self._row_reader = RowReader()

    async def create(self, operation: ImportOperation) -> None:
        """Insert an operation; see `ImportOperationRecords.create`."""
        await self._access.write(lambda connection: create_operation(connection, operation, self._session()))

    async def claim(
        self, id: str, states: Collection[ImportState], *, epoch: int | None = None
    ) -> ImportOperation | None:
        """Take over an operation; see `ImportOperationRecords.claim`."""

        async def write(connection: asyncpg.Connection) -> ImportOperation | Rejection | None:
            row = await connection.fetchrow(_LOCKED_BY_ID, id)
            try:
                found = None if row is None else decode_operation(tuple(row))
            except StorageError as error:
                # Raised in the task of the caller.
                return Rejection(error)
            if found is None or found.state not in states or epoch not in {None, found.epoch}:
                return None
            await connection.execute(_CLAIM, id, self._session())
            return replace(found, epoch=found.epoch + 1)

        return await self._access.write(write)

    async def require(self, driver: Driver) -> None:
        """Return if the driver holds its operation; see `ImportOperationRecords.require`."""
        if not await self._access.read(lambda connection: holds(connection, driver)):
            raise ImportFencedError(driver)

    async def save(self, operation: ImportOperation, *, driver: Driver | None = None) -> None:
        """Write all fields of an operation but the epoch; see `ImportOperationRecords.save`."""
        *values, _ = encode_operation(operation)

        async def write(connection: asyncpg.Connection) -> None:
            await connection.execute(_UPDATE, *values)

        await self._access.write(fenced(driver or operation.driver, write))

    async def get(self, id: str) -> ImportOperation | None:
        """Return an operation; see `ImportOperationRecords.get`."""
        return await self._read_one(_BY_ID, id)

    async def current(self, user: str) -> ImportOperation | None:
        """Return the user's newest operation."""
        return await self._read_one(_CURRENT, user)

    async def latest(self, count: int) -> list[ImportOperation]:
        """Return the operations that were updated last; see `ImportOperationRecords.latest`."""
        return await self._access.read(
            lambda connection: self._row_reader.page(connection, _LATEST, (count,), decode_operation)
        )

    async def unfinished(self) -> list[ImportOperation]:
        """Return the operations to continue; see `ImportOperationRecords.unfinished`."""
        return await self._access.read(lambda connection: self._read_all(connection, _UNFINISHED, ()))

    async def abandoned(self) -> list[ImportOperation]:
        """Return the operations that no living node drives; see `ImportOperationRecords.abandoned`."""
        return await self._access.read(lambda connection: self._read_all(connection, _ABANDONED, ()))

    async def sources(self, run: str) -> list[ImportOperation]:
        """Return the imports that the files of a run belong to."""

        async def read(connection: asyncpg.Connection) -> list[ImportOperation]:
            ids = await source_ids(connection, run) or ()
            return await self._read_all(connection, _SOURCES, (run, array_of_texts(ids)))

        return await self._access.read(read)

    async def _read_all(
        self, connection: asyncpg.Connection, sql: str, parameters: Sequence[Any]
    ) -> list[ImportOperation]:
        return await self._row_reader.rows(connection, sql, parameters, decode_operation)

    async def _read_one(self, sql: str, parameter: str) -> ImportOperation | None:
        row = await self._access.read(lambda connection: connection.fetchrow(sql, parameter))
        return None if row is None else decode_operation(tuple(row))
