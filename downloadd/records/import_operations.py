"""Records of import operations in SQLite.

A state and an error code are stored as the words that the first versions wrote, so that rows of every version can be
read.
"""

import sqlite3
from collections.abc import Collection, Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from downloadd.errors import StorageError
from downloadd.import_operation import FINISHED_STATES, Driver, ImportErrorCode, ImportOperation, ImportState
from downloadd.import_part import operation_of_part
from downloadd.records.access import DatabaseAccess
from downloadd.records.corrupt_rows import RowReader, read_one
from downloadd.records.import_fence import fenced, holds
from downloadd.records.import_protocol import ImportFencedError
from downloadd.records.protocol import PartOwner
from downloadd.records.rows import Row, corrupt_row_error, decode_texts, to_bindable
from downloadd.records.writer import Rejection
from downloadd.states import State

STORED_STATES: Final[Mapping[ImportState, str]] = MappingProxyType(
    {
        ImportState.NEW: "importer_new",
        ImportState.UPLOADING: "importer_uploading",
        ImportState.FETCHING: "importer_downloading_file",
        ImportState.UPLOADED: "importer_file_loaded",
        ImportState.READING: "importer_preparing_started",
        ImportState.READING_USERS: "importer_preparing_users",
        ImportState.READING_CHANNELS: "importer_preparing_channels",
        ImportState.READING_FILES: "importer_preparing_messages",
        ImportState.READY: "importer_user_selection",
        ImportState.SELECTING: "importer_importing_started",
        ImportState.DOWNLOADING: "importer_importing_files",
        ImportState.DONE: "importer_done",
        ImportState.FAILED: "importer_import_failed",
        ImportState.CANCELLED: "importer_import_cancelled",
    }
)
STORED_ERROR_CODES: Final[Mapping[ImportErrorCode, str]] = MappingProxyType(
    {
        ImportErrorCode.UNKNOWN_IMPORTER: "error-importer-not-defined",
        ImportErrorCode.INVALID_PARAMETER: "error-invalid-params",
        ImportErrorCode.INVALID_FILE: "error-invalid-file",
        ImportErrorCode.FILE_TOO_LARGE: "error-file-too-large",
        ImportErrorCode.WRONG_STATE: "error-import-operation-invalid",
        ImportErrorCode.NOTHING_SELECTED: "error-nothing-selected",
    }
)
_STATES: Final = {word: state for state, word in STORED_STATES.items()}
_ERROR_CODES: Final = {word: code for code, word in STORED_ERROR_CODES.items()}

COLUMNS: Final = (
    "id",
    "kind",
    "user",
    "ts",
    "updated_at",
    "status",
    "valid",
    "content_type",
    "name",
    "download_id",
    "message_count",
    "skipped",
    "total",
    "completed",
    "failed",
    "reason",
    "error_code",
    "sources",
    "given_up",
    "not_before",
    "epoch",
)
"""The columns that are used; `file` of the table is not."""

# The SQL is composed of the names in the list of columns only.
# ruff: noqa: S608
_COLUMN_LIST: Final = ", ".join(COLUMNS)
_INSERT: Final = f"INSERT INTO operations ({_COLUMN_LIST}) VALUES ({', '.join('?' * len(COLUMNS))})"
# A task that works for a replaced operation does not know that it is invalid.
_SET: Final = ", ".join(
    "valid = min(valid, ?)" if name == "valid" else f"{name} = ?" for name in COLUMNS if name != "epoch"
)
_UPDATE: Final = f"UPDATE operations SET {_SET} WHERE id = ?"
_CLAIM: Final = "UPDATE operations SET epoch = epoch + 1 WHERE id = ?"
_INVALIDATE: Final = "UPDATE operations SET valid = 0 WHERE user = ? AND id != ? AND valid = 1"
_CURRENT: Final = f"SELECT {_COLUMN_LIST} FROM operations WHERE user = ? ORDER BY ts DESC, rowid DESC LIMIT 1"
_LATEST: Final = f"SELECT {_COLUMN_LIST} FROM operations ORDER BY updated_at DESC, rowid DESC LIMIT ?"
_BY_ID: Final = f"SELECT {_COLUMN_LIST} FROM operations WHERE id = ?"
_SOURCES: Final = (
    f"SELECT {_COLUMN_LIST} FROM operations "
    "WHERE id IN (SELECT operation FROM import_files WHERE run = ?1) "
    "OR id IN (SELECT j.value FROM operations AS run, json_each(run.sources) AS j WHERE run.id = ?1) ORDER BY rowid"
)
_IS_UNFINISHED: Final = f"(status = ? OR (valid = 1 AND status NOT IN ({', '.join('?' * len(FINISHED_STATES))})))"
_UNFINISHED: Final = f"SELECT {_COLUMN_LIST} FROM operations WHERE {_IS_UNFINISHED} ORDER BY rowid"
_RAISE_EPOCHS: Final = f"UPDATE operations SET epoch = epoch + 1 WHERE {_IS_UNFINISHED}"
_EPOCHS: Final = f"SELECT id, epoch FROM operations WHERE {_IS_UNFINISHED} AND id IN (SELECT value FROM json_each(?))"
_UNFINISHED_PARAMETERS: Final = (
    STORED_STATES[ImportState.DOWNLOADING],
    *(STORED_STATES[state] for state in FINISHED_STATES),
)


def create_operation(cursor: sqlite3.Cursor, operation: ImportOperation) -> None:
    """Insert an operation in the transaction of `cursor`; see `ImportOperationRecords.create`."""
    cursor.execute(_INSERT, to_bindable(encode_operation(operation)))
    cursor.execute(_INVALIDATE, (operation.user, operation.id))


def raise_epochs(connection: sqlite3.Connection) -> None:
    """Fence the drivers of an earlier process from the operations that this one continues.

    The sweep of part files then knows that none of them writes a manifest any more.
    """
    connection.execute(_RAISE_EPOCHS, _UNFINISHED_PARAMETERS)


def manifest_owners(connection: sqlite3.Connection, ids: Iterable[str]) -> dict[str, PartOwner]:
    """Return the unfinished operations among the owners of part files, by the id in the name of the part."""
    part_ids = {operation: id for id in ids if (operation := operation_of_part(id)) is not None}
    if not part_ids:
        return {}
    parameters = (*_UNFINISHED_PARAMETERS, msgspec.json.encode(list(part_ids)).decode())
    return {
        part_ids[operation]: PartOwner(state=State.DOWNLOADING, epoch=epoch, part_name=None)
        for operation, epoch in connection.execute(_EPOCHS, parameters)
    }


class SqliteImportOperations:
    """`ImportOperationRecords` in SQLite."""

    def __init__(self, access: DatabaseAccess) -> None:
        self._access = access
        self._row_reader = RowReader()

    async def create(self, operation: ImportOperation) -> None:
        """Insert an operation; see `ImportOperationRecords.create`."""
        await self._access.write(lambda cursor: create_operation(cursor, operation))

    async def claim(
        self, id: str, states: Collection[ImportState], *, epoch: int | None = None
    ) -> ImportOperation | None:
        """Take over an operation; see `ImportOperationRecords.claim`."""
        parameters = to_bindable((id,))

        def write(cursor: sqlite3.Cursor) -> ImportOperation | Rejection | None:
            try:
                found = read_one(cursor.connection, _BY_ID, parameters, decode_operation)
            except StorageError as error:
                # Raised in the task of the caller.
                return Rejection(error)
            if found is None or found.state not in states or epoch not in {None, found.epoch}:
                return None
            cursor.execute(_CLAIM, parameters)
            return replace(found, epoch=found.epoch + 1)

        return await self._access.write(write)

    async def require(self, driver: Driver) -> None:
        """Return if the driver holds its operation; see `ImportOperationRecords.require`."""
        if not await self._access.read(lambda connection: holds(connection, driver)):
            raise ImportFencedError(driver)

    async def save(self, operation: ImportOperation, *, driver: Driver | None = None) -> None:
        """Write all fields of an operation but the epoch; see `ImportOperationRecords.save`."""
        *values, _ = to_bindable(encode_operation(operation))

        def write(cursor: sqlite3.Cursor) -> None:
            cursor.execute(_UPDATE, (*values, *to_bindable((operation.id,))))

        await self._access.write(fenced(driver or operation.driver, write))

    async def get(self, id: str) -> ImportOperation | None:
        """Return an operation; see `ImportOperationRecords.get`."""
        return await self._read_one(_BY_ID, id)

    async def current(self, user: str) -> ImportOperation | None:
        """Return the user's newest operation."""
        return await self._read_one(_CURRENT, user)

    async def latest(self, count: int) -> list[ImportOperation]:
        """Return the operations that were updated last; see `ImportOperationRecords.latest`."""
        return await self._access.read(lambda c: self._row_reader.page(c, _LATEST, (count,), decode_operation))

    async def unfinished(self) -> list[ImportOperation]:
        """Return the operations to continue; see `ImportOperationRecords.unfinished`."""
        return await self._read_all(_UNFINISHED, _UNFINISHED_PARAMETERS)

    async def abandoned(self) -> list[ImportOperation]:
        """Return the operations to continue; see `ImportOperationRecords.abandoned`."""
        return await self.unfinished()

    async def sources(self, run: str) -> list[ImportOperation]:
        """Return the imports that the files of a run belong to."""
        return await self._read_all(_SOURCES, (run,))

    async def _read_all(self, sql: str, parameters: Row) -> list[ImportOperation]:
        return await self._access.read(lambda c: self._row_reader.rows(c, sql, parameters, decode_operation))

    async def _read_one(self, sql: str, parameter: str) -> ImportOperation | None:
        return await self._access.read(lambda c: read_one(c, sql, to_bindable((parameter,)), decode_operation))


def encode_operation(operation: ImportOperation) -> Row:
    """Return the values of the columns."""
    return (
        operation.id,
        operation.kind,
        operation.user,
        operation.started_at,
        operation.updated_at,
        STORED_STATES[operation.state],
        int(operation.valid),
        operation.content_type,
        operation.name,
        operation.download_id,
        operation.message_count,
        operation.skipped,
        operation.file_counts.total,
        operation.file_counts.completed,
        operation.file_counts.failed,
        operation.reason,
        None if operation.error_code is None else STORED_ERROR_CODES[operation.error_code],
        msgspec.json.encode(operation.sources).decode() if operation.sources else None,
        operation.file_counts.given_up,
        operation.not_before,
        operation.epoch,
    )


def decode_operation(row: Row) -> ImportOperation:
    """Return the operation in a row.

    Raises:
        StorageError: the row is damaged.
    """
    values: dict[str, Any] = dict(zip(COLUMNS, decode_texts(row, 0, "import operation"), strict=True))
    code, sources = values.pop("error_code"), values.pop("sources")
    try:
        return msgspec.convert(
            {
                **values,
                "started_at": values["ts"],
                "state": _STATES[values["status"]],
                "valid": values["valid"] == 1,
                "file_counts": {name: values[name] for name in ("total", "completed", "failed", "given_up")},
                "sources": () if sources is None else msgspec.json.decode(sources),
                # A code that this version does not know is of a file that could not be read.
                "error_code": None if code is None else _ERROR_CODES.get(code, ImportErrorCode.INVALID_FILE),
            },
            ImportOperation,
        )
    except (KeyError, TypeError, msgspec.MsgspecError) as error:
        raise corrupt_row_error("import operation", values["id"], "a value is malformed") from error
