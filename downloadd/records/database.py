"""The state directory and the database file in it: locked, private, and of the version that this daemon knows."""

import fcntl
import os
import re
import sqlite3
from collections.abc import Sequence
from contextlib import closing, suppress
from importlib import resources
from pathlib import Path
from typing import Final

import msgspec
import structlog

from downloadd.errors import (
    DownloadError,
    InsufficientStorageError,
    StartupError,
    StorageError,
    StoreUnavailableError,
)
from downloadd.import_operation import is_operation_id
from downloadd.records.corrupt_rows import is_undecodable
from downloadd.records.history import CONTAINS_FOLDED, contains_folded

log = structlog.get_logger()

DATABASE_FILE_NAME: Final = "records.db"
LOCK_FILE_NAME: Final = "downloadd.lock"
UPLOADS_DIRECTORY_NAME: Final = "imports"
"""The directory beside the database in which files that were uploaded wait to be read."""

MAX_CHECKED_BYTES: Final = 1 << 30
"""A bigger database, of some millions of downloads, is not looked through for damage: a start must not take minutes."""

_BUSY_TIMEOUT_SECONDS: Final = 5.0
_MIN_PAGE_BYTES: Final = 512
_BOOT_ID_FILE: Final = Path("/proc/sys/kernel/random/boot_id")
# What SQLite or a migration puts beside a database, and what is made only once there is one.
_RELATED_FILES: Final = re.compile(re.escape(DATABASE_FILE_NAME) + r"(-wal|-shm|-journal|\.v\d+\.backup)")
_MISSING_DETAIL: Final = (
    "the daemon's records were removed or moved away while it ran, so that nothing can be written down; put its state "
    "directory back as it was, or restart the daemon"
)
_PASSING: Final = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_NOMEM,
    }
)
"""Primary codes of trouble around the database, which may pass; others are about its content or about a statement."""
_MIGRATION_NAME: Final = re.compile(r"(\d{4})_\w+\.sql")
# 16 MiB of pages between checkpoints: ids are random, so that a small log would be written back over and over.
_CHECKPOINT_PAGES: Final = 4096
_MAX_WAL_BYTES: Final = 64 << 20
_WRITER_CACHE_KIB: Final = 8192


class RecordsError(StartupError):
    """The records cannot be opened; the message is one sentence that names the path and what to do.

    Attributes:
        path: the state directory or the file in it that is meant.
    """

    def __init__(self, path: Path, sentence: str) -> None:
        super().__init__(sentence)
        self.path = path


class RecordsLockedError(RecordsError):
    """Another daemon uses the state directory."""


class RecordsUnreadableError(RecordsError):
    """The state directory or the database cannot be read or written."""


class RecordsTooNewError(RecordsError):
    """The database was written by a newer version of the daemon."""


class Migration(msgspec.Struct, frozen=True, kw_only=True):
    """One step forward: the SQL that brings a database of `version - 1` to `version`."""

    version: int
    sql: str


def shipped_migrations() -> tuple[Migration, ...]:
    """The migrations that ship with the package, in order, numbered 1, 2, 3 and so on."""
    found = []
    for file in resources.files("downloadd.records").joinpath("migrations").iterdir():
        match = _MIGRATION_NAME.fullmatch(file.name)
        if match:
            found.append(Migration(version=int(match[1]), sql=file.read_text(encoding="utf-8")))
    return tuple(sorted(found, key=lambda migration: migration.version))


def boot_id() -> str | None:
    """Names the time since the machine was started; None where nobody tells."""
    with suppress(OSError):
        return _BOOT_ID_FILE.read_text(encoding="ascii").strip() or None
    return None


_FileIdentity = tuple[int, int]
"""Device and number of a file."""


class StateDirectory:
    """The directory that one daemon at a time keeps its records in.

    Blocks on the disk: for threads only.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.database = path / DATABASE_FILE_NAME
        self._lock: int | None = None
        self._was_used = False
        self._open_files: tuple[tuple[str, _FileIdentity], ...] = ()
        self._is_missing = False

    def lock(self) -> None:
        """Makes the directory (mode 0700) when it is missing, and keeps every other daemon out of it.

        Raises:
            RecordsLockedError: another daemon is in it.
            RecordsUnreadableError: it cannot be made or written.
        """
        try:
            if not self.path.is_dir():
                self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
                _sync_directory(self.path.parent)
            lock = os.open(self.path / LOCK_FILE_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise self.unusable_error(error) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._was_used = os.fstat(lock).st_size > 0
            os.ftruncate(lock, 0)
            os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
        except BlockingIOError as error:
            holder = os.pread(lock, 32, 0).decode(errors="replace").strip() or "unknown"
            os.close(lock)
            raise RecordsLockedError(
                self.path,
                f"another downloadd (process {holder}) uses the state directory {self.path}; "
                "stop it or choose another state directory",
            ) from error
        except OSError as error:
            os.close(lock)
            raise self.unusable_error(error) from error
        self._lock = lock

    def unlock(self) -> None:
        """Lets the next daemon in."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def open_for_writing(self, migrations: Sequence[Migration], *, now: float) -> sqlite3.Connection:
        """The one connection that writes, to a database (mode 0600) of the newest version in `migrations`.

        An older database is migrated, each step in one transaction, after a backup was put beside it. Where there is
        none, and nothing that one has left behind, it is begun at `now` (Unix time).

        Raises:
            RecordsTooNewError: the database is newer than all migrations; it is left as it is.
            RecordsUnreadableError: it is no database, is damaged, has vanished, or cannot be read; it is left as it is.
        """
        try:
            if not self.database.exists():
                self._create_database(migrations, now)
            os.close(os.open(self.database, os.O_RDWR | os.O_CLOEXEC))
            # SQLite would take a file that is shorter than a page for an empty one, write over it, and throw the log
            # away that may lie beside it.
            size = os.stat(self.database).st_size
            if size < _MIN_PAGE_BYTES:
                raise self._corrupt_error("the file is too short" if size else "the file is empty")
            os.chmod(self.database, 0o600)
            connection = sqlite3.connect(
                self.database, timeout=_BUSY_TIMEOUT_SECONDS, isolation_level=None, cached_statements=64
            )
        except (OSError, sqlite3.Error) as error:
            raise self.unusable_error(error) from error
        try:
            self._migrate(connection, migrations)
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
            connection.execute(f"PRAGMA journal_size_limit = {_MAX_WAL_BYTES}")
            connection.execute(f"PRAGMA cache_size = -{_WRITER_CACHE_KIB}")
            _sync_directory(self.path)
        except (OSError, sqlite3.Error) as error:
            connection.close()
            raise self.unusable_error(error) from error
        except UnicodeDecodeError as error:
            # SQLite's own message quotes a damaged schema.
            connection.close()
            raise self._corrupt_error("its schema is malformed") from error
        except BaseException:
            connection.close()
            raise
        return connection

    def open_for_reading(self) -> sqlite3.Connection:
        """A connection that cannot write; any one thread at a time may use it.

        Raises:
            RecordsUnreadableError: the database cannot be opened.
        """
        try:
            connection = sqlite3.connect(
                f"{self.database.absolute().as_uri()}?mode=ro",
                uri=True,
                timeout=_BUSY_TIMEOUT_SECONDS,
                isolation_level=None,
                check_same_thread=False,
            )
            connection.execute("PRAGMA query_only = ON")
            # SQLite opens the log at the first look, and by then another one may lie there.
            connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
            connection.create_function(CONTAINS_FOLDED, 2, contains_folded, deterministic=True)
        except sqlite3.Error as error:
            raise self.unusable_error(error) from error
        return connection

    def remember_files(self) -> None:
        """Remembers which files are written to, once the database is open.

        Raises:
            OSError: they are gone already.
        """
        database = os.path.realpath(self.database)
        # What is committed is in the log first, so that it must not be lost either.
        self._open_files = tuple((path, _identity(path)) for path in (str(self.database), f"{database}-wal"))

    def require_in_place(self) -> None:
        """Sees to it that what is written now will be found by the next start. Costs some microseconds.

        Raises:
            StoreUnavailableError: the files that are written to have been removed or moved away.
        """
        try:
            in_place = all(_identity(path) == identity for path, identity in self._open_files)
        except OSError:
            in_place = False
        if in_place == self._is_missing:
            self._is_missing = not in_place
            if in_place:
                log.warning("records_restored", database=str(self.database))
            else:
                log.error("records_missing", database=str(self.database), detail=_MISSING_DETAIL)
        if not in_place:
            raise StoreUnavailableError(_MISSING_DETAIL)

    def unusable_error(self, error: OSError | sqlite3.Error) -> RecordsUnreadableError:
        """What it means when opening the directory or the database fails with `error`."""
        if isinstance(error, OSError):
            reason = error.strerror or str(error)
        else:
            reason = str(error)
            if primary_code(error) in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
                return self._corrupt_error(reason)
        return RecordsUnreadableError(
            self.path,
            f"the state directory {self.path} cannot be used ({reason}); check its owner, permissions and disk",
        )

    def _migrate(self, connection: sqlite3.Connection, migrations: Sequence[Migration]) -> None:
        newest = max((migration.version for migration in migrations), default=0)
        version: int = connection.execute("PRAGMA user_version").fetchone()[0]
        if version > newest:
            raise RecordsTooNewError(
                self.database,
                f"{self.database} was written by a newer downloadd (version {version} of the records, this one knows "
                f"up to {newest}); start the newer one or restore a backup",
            )
        if version == 0:
            raise RecordsUnreadableError(
                self.database,
                f"{self.database} is a database of another program, or has lost its version; move it away or choose "
                "another state directory",
            )
        self._check_integrity(connection)
        self._require_complete_schema(connection, [one for one in migrations if one.version <= version])
        connection.execute("PRAGMA journal_mode = WAL")
        if version < newest:
            self._back_up(connection, version)
        _apply_migrations(connection, migrations, version)

    def _create_database(self, migrations: Sequence[Migration], now: float) -> None:
        """Makes the database, whole, under another name first: a kill leaves all of it behind, or nothing."""
        self._require_first_start()
        temporary = self.path / f"{DATABASE_FILE_NAME}.unfinished"
        temporary.unlink(missing_ok=True)
        os.close(os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        connection = sqlite3.connect(temporary, isolation_level=None)
        try:
            # Whatever is unfinished is thrown away, so that nothing of it need be lasting before it is whole.
            connection.execute("PRAGMA journal_mode = MEMORY")
            connection.execute("PRAGMA synchronous = OFF")
            _apply_migrations(connection, migrations, 0)
            connection.execute("INSERT INTO birth VALUES (?)", (now,))
        finally:
            connection.close()
        _sync(temporary, os.O_RDONLY)
        os.replace(temporary, self.database)
        _sync_directory(self.path)
        if self._was_used:
            log.warning(
                "records_created_empty",
                database=str(self.database),
                detail="no database was there, though a downloadd has used this directory before; if there should have "
                "been one, stop the daemon and restore a backup",
            )

    def _require_first_start(self) -> None:
        """Whether this is a first start, or the database has gone astray, must not be guessed."""
        if self.database.is_symlink():
            raise RecordsUnreadableError(
                self.database,
                f"{self.database} is a link to {os.readlink(self.database)}, which is not there; bring that back, or "
                "remove the link to begin with empty records",
            )
        left = sorted(name for name in os.listdir(self.path) if _RELATED_FILES.fullmatch(name))
        uploads = self.path / UPLOADS_DIRECTORY_NAME
        if uploads.is_dir() and any(is_operation_id(one.name) for one in uploads.iterdir()):
            left.append(UPLOADS_DIRECTORY_NAME)
        if left:
            raise RecordsUnreadableError(
                self.database,
                f"{self.database} is missing, though there is {', '.join(left)} of an earlier life of the daemon; "
                "restore the database or a backup of it, or move these away too to begin with empty records",
            )

    def _check_integrity(self, connection: sqlite3.Connection) -> None:
        """Reads the database once, before something is written that would make damage worse."""
        if os.stat(self.database).st_size > MAX_CHECKED_BYTES:
            return
        (result,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if result != "ok":
            raise self._corrupt_error(result.splitlines()[-1])

    def _require_complete_schema(self, connection: sqlite3.Connection, migrations: Sequence[Migration]) -> None:
        """What these migrations have made must be there; what else is there is somebody's own."""
        with closing(sqlite3.connect(":memory:", isolation_level=None)) as model:
            _apply_migrations(model, migrations, 0)
            missing = sorted(_schema(model) - _schema(connection))
        if missing:
            raise RecordsUnreadableError(
                self.database,
                f"{self.database} is damaged: it has no {', no '.join(missing)}; restore a backup, or move it away, "
                "together with the files beside it whose names begin with its own, to begin with empty records",
            )

    def _corrupt_error(self, reason: str) -> RecordsUnreadableError:
        return RecordsUnreadableError(
            self.database,
            f"{self.database} is damaged or no database ({reason}); restore a backup, or move it away, together with "
            "the files beside it whose names begin with its own, to begin with empty records",
        )

    def _back_up(self, connection: sqlite3.Connection, version: int) -> None:
        backup = self.path / f"{DATABASE_FILE_NAME}.v{version}.backup"
        unfinished = self.path / f"{backup.name}.unfinished"
        unfinished.unlink(missing_ok=True)
        os.close(os.open(unfinished, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        target = sqlite3.connect(unfinished)
        try:
            connection.backup(target)
        finally:
            target.close()
        os.replace(unfinished, backup)
        _sync_directory(self.path)


def _schema(connection: sqlite3.Connection) -> set[str]:
    """Tables, columns and indexes, each in words."""
    found = set()
    for kind, name in connection.execute(
        "SELECT type, name FROM sqlite_schema WHERE type IN ('table', 'index') AND name NOT LIKE 'sqlite%'"
    ).fetchall():
        columns = [
            str(column)
            for (column,) in connection.execute(f"SELECT name FROM pragma_{kind}_info(?)", (name,))  # noqa: S608 - ours
        ]
        if kind == "index":
            found.add(f"index {name} of {', '.join(columns)}")
        else:
            found |= {f"table {name}", *(f"column {column} of {name}" for column in columns)}
    return found


def _apply_migrations(connection: sqlite3.Connection, migrations: Sequence[Migration], version: int) -> None:
    for migration in migrations:
        if migration.version > version:
            # The script begins its transaction itself, because `executescript` would commit an open one.
            try:
                connection.executescript(
                    f"BEGIN IMMEDIATE;\n{migration.sql}\nPRAGMA user_version = {migration.version};\nCOMMIT;"
                )
            except sqlite3.Error:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise


def storage_error(error: sqlite3.Error | OverflowError) -> DownloadError:
    """What a failed statement means to the caller of the records."""
    if isinstance(error, sqlite3.Error) and primary_code(error) == sqlite3.SQLITE_FULL:
        return InsufficientStorageError("the disk that holds the daemon's records is full")
    if isinstance(error, sqlite3.Error) and primary_code(error) in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
        return StorageError(f"the daemon's records are damaged ({error}); stop the daemon and restore a backup of them")
    if isinstance(error, sqlite3.Error) and primary_code(error) in _PASSING:
        return StoreUnavailableError(f"the daemon's records cannot be used at the moment: {error}")
    if isinstance(error, sqlite3.Error) and is_undecodable(error):
        return StorageError("a text in the daemon's records is damaged; restore a backup of them")
    return StorageError(f"the daemon's records failed: {error}")


def primary_code(error: sqlite3.Error) -> int:
    """Return what SQLite calls the kind of an error, without its finer cause."""
    # Only errors that SQLite itself reports have a code; its low byte is the primary one.
    code: int = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    return code & 0xFF


def _identity(path: str) -> _FileIdentity:
    found = os.stat(path)
    return found.st_dev, found.st_ino


def _sync_directory(path: Path) -> None:
    _sync(path, os.O_RDONLY | os.O_DIRECTORY)


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
