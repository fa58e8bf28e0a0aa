"""SQLite file of records as the source of a copy: locked, of the newest version, read as it was at one moment."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

import msgspec
import structlog

from downloadd.errors import StorageError
from downloadd.records.database import RecordsUnreadableError, StateDirectory
from downloadd.records.download_queries import created_at, last_removal, last_used_ended_seq, last_used_seq
from downloadd.records.row_decoding import MAX_LOGGED_ROWS
from downloadd.records.rows import Row
from downloadd.records.schema import shipped_migrations
from downloadd.root_identity import RootIdentity

log = structlog.get_logger()

_CHUNK_ROWS: Final = 1_000
_BOOT: Final = "SELECT id FROM boot"
_STORAGE_ROOT: Final = "SELECT identity FROM storage_root"
_CLEARED: Final = "SELECT coalesce(max(ended_seq), 0) FROM cleared_results"


class RecordsState(msgspec.Struct, frozen=True, kw_only=True):
    """Values that the records keep once, besides their rows."""

    created_at: float | None
    """Unix time; None if it is not recorded."""
    boot: str | None
    """Boot of the machine that the daemon ran in last."""
    storage_root: str | None
    """JSON of a `RootIdentity`."""
    cleared_until: int
    """The `ended_seq` up to which all results were cleared."""
    last_seq: int
    """The greatest `seq` that was ever assigned."""
    last_ended_seq: int
    """The greatest `ended_seq` that was ever assigned."""
    last_removal: int
    """The `ended_seq` of the newest end at the last removal from the history."""


class Chunk(msgspec.Struct, frozen=True, kw_only=True):
    """Some rows of a table, converted."""

    rows: list[Row]
    damaged: int
    """Rows that were logged and left out."""


class SqliteSource:
    """Records of an SQLite file, all as they were at the first read. For one thread at a time."""

    def __init__(self, directory: StateDirectory, connection: sqlite3.Connection) -> None:
        self._directory = directory
        self._connection = connection
        self._logged = 0

    def read_state(self) -> RecordsState:
        """Return what the records keep once. Blocks.

        Raises:
            RecordsUnreadableError: the file cannot be read.
        """
        with self._readable():
            connection = self._connection
            boot, root = (connection.execute(sql).fetchone() for sql in (_BOOT, _STORAGE_ROOT))
            return RecordsState(
                created_at=created_at(connection),
                boot=boot[0] if boot is not None and isinstance(boot[0], str) else None,
                storage_root=None if root is None else _checked_root(root[0]),
                cleared_until=connection.execute(_CLEARED).fetchone()[0],
                last_seq=last_used_seq(connection),
                last_ended_seq=last_used_ended_seq(connection),
                last_removal=last_removal(connection),
            )

    def read_rows(self, sql: str, convert: Callable[[Row], Row]) -> Iterator[Chunk]:
        """Return the rows of a query in chunks. Blocks.

        Args:
            sql: the query.
            convert: raises `StorageError` for a damaged row.

        Raises:
            RecordsUnreadableError: the file cannot be read.
        """
        with self._readable(), closing(self._connection.execute(sql)) as cursor:
            while found := cursor.fetchmany(_CHUNK_ROWS):
                rows = []
                for row in found:
                    try:
                        rows.append(convert(row))
                    except StorageError as error:
                        self._log_damage(error)
                yield Chunk(rows=rows, damaged=len(found) - len(rows))

    def _log_damage(self, error: StorageError) -> None:
        self._logged += 1
        if self._logged <= MAX_LOGGED_ROWS:
            log.error("row_corrupt", detail=error.detail)

    @contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise self._directory.unusable_error(error) from error


@contextmanager
def open_source(state_dir: Path, *, now: float) -> Iterator[SqliteSource]:
    """Lock a state directory and open its records. Blocks.

    A file of an older version is backed up and migrated, as at a start of the daemon; its rows stay as they are.

    Raises:
        RecordsLockedError: a daemon uses the directory.
        RecordsUnreadableError: there are no records in it, or they cannot be used.
        RecordsTooNewError: a newer daemon wrote them.
    """
    directory = StateDirectory(state_dir)
    try:
        exists = directory.database.exists()
    except OSError as error:
        raise directory.unusable_error(error) from error
    if not exists:
        raise RecordsUnreadableError(
            state_dir, f"{directory.database} does not exist; name the directory of the records with --state-dir"
        )
    directory.lock()
    try:
        directory.open_for_writing(shipped_migrations(), now=now).close()
        with closing(directory.open_for_reading()) as connection:
            connection.text_factory = _text_or_bytes
            connection.execute("BEGIN")
            yield SqliteSource(directory, connection)
    finally:
        directory.unlock()


def _text_or_bytes(stored: bytes) -> str | bytes:
    """Return bytes in place of a text that is not UTF-8, which would end the query."""
    try:
        return stored.decode()
    except UnicodeDecodeError:
        return stored


def _checked_root(identity: object) -> str | None:
    """Return the JSON of a storage root; None, after a line in the log, if it is damaged."""
    try:
        if not isinstance(identity, str):
            raise TypeError("not a text")
        msgspec.json.decode(identity, type=RootIdentity)
    except (msgspec.MsgspecError, ValueError, TypeError) as error:
        log.error("storage_root_record_corrupt", detail=str(error))
        return None
    return identity
