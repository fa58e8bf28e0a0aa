"""State directory with the database file: locked, private, and of a version that this daemon knows."""

import fcntl
import os
import re
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import structlog

from downloadd.errors import StartupError
from downloadd.import_operation import is_operation_id
from downloadd.records.history import CONTAINS_FOLDED, contains_folded
from downloadd.records.open_files import OpenFiles
from downloadd.records.schema import Migration, apply_migrations, latest_version, missing_objects, read_version
from downloadd.records.sqlite_errors import is_corruption
from downloadd.stable_storage import sync_directory

log = structlog.get_logger()

DATABASE_FILE_NAME: Final = "records.db"
LOCK_FILE_NAME: Final = "downloadd.lock"
UPLOADS_DIRECTORY_NAME: Final = "imports"
"""Name of the directory beside the database that holds uploaded files until they are read."""

MAX_CHECKED_BYTES: Final = 1 << 30
"""Bytes of a database that is checked for damage at the start; checking a larger one would take minutes."""

_BUSY_TIMEOUT_SECONDS: Final = 5.0
_MIN_PAGE_BYTES: Final = 512
# Files that SQLite or a migration puts beside a database, which therefore exist only if there was one.
_RELATED_FILES: Final = re.compile(re.escape(DATABASE_FILE_NAME) + r"(-wal|-shm|-journal|\.v\d+\.backup)")
# 16 MiB of pages between checkpoints: ids are random, so that a small log would write the same pages back repeatedly.
_CHECKPOINT_PAGES: Final = 4096
_MAX_WAL_BYTES: Final = 64 << 20
_WRITER_CACHE_KIB: Final = 8192


class RecordsError(StartupError):
    """Failure to open the records; the message is one sentence with the path and the remedy.

    Attributes:
        path: the state directory or the file in it that the message is about.
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


class StateDirectory:
    """Directory of the records, which one daemon at a time uses.

    Blocks on the disk: for threads only.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.database = path / DATABASE_FILE_NAME
        self.open_files = OpenFiles(self.database)
        self._lock: int | None = None
        self._was_used = False

    def lock(self) -> None:
        """Create the directory (mode 0700) if it is missing, and lock it against other daemons.

        Raises:
            RecordsLockedError: another daemon holds the lock.
            RecordsUnreadableError: the directory cannot be created or written.
        """
        try:
            if not self.path.is_dir():
                self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
                sync_directory(self.path.parent)
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
        """Release the lock."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def open_for_writing(self, migrations: Sequence[Migration], *, now: float) -> sqlite3.Connection:
        """Return the writing connection to a database (mode 0600) of the newest version in `migrations`.

        An older database is backed up and then migrated, each step in one transaction. A missing database is created
        with the time `now` (Unix time), unless files of an earlier one are left.

        Raises:
            RecordsTooNewError: the database is newer than all migrations; it is not changed.
            RecordsUnreadableError: the file is not a database, damaged, missing or unreadable; it is not changed.
        """
        connection = self._connect(migrations, now)
        try:
            self._migrate(connection, migrations)
            connection.execute("PRAGMA synchronous = FULL")
            # A secret that leaves a row must not stay readable in the free space of its page.
            connection.execute("PRAGMA secure_delete = ON")
            connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
            connection.execute(f"PRAGMA journal_size_limit = {_MAX_WAL_BYTES}")
            connection.execute(f"PRAGMA cache_size = -{_WRITER_CACHE_KIB}")
            sync_directory(self.path)
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
        """Return a read-only connection for one thread at a time.

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
            # SQLite opens the write-ahead log at the first query; by a later one, another file may have its name.
            connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
            connection.create_function(CONTAINS_FOLDED, 2, contains_folded, deterministic=True)
        except sqlite3.Error as error:
            raise self.unusable_error(error) from error
        return connection

    def unusable_error(self, error: OSError | sqlite3.Error) -> RecordsUnreadableError:
        """Return the error to raise in place of a failure to open the directory or the database."""
        if isinstance(error, OSError):
            reason = error.strerror or str(error)
        else:
            reason = str(error)
            if is_corruption(error):
                return self._corrupt_error(reason)
        return RecordsUnreadableError(
            self.path,
            f"the state directory {self.path} cannot be used ({reason}); check its owner, permissions and disk",
        )

    def _connect(self, migrations: Sequence[Migration], now: float) -> sqlite3.Connection:
        try:
            if not self.database.exists():
                self._create_database(migrations, now)
            os.close(os.open(self.database, os.O_RDWR | os.O_CLOEXEC))
            # SQLite treats a file that is shorter than a page as empty: it would overwrite it and discard its log.
            size = os.stat(self.database).st_size
            if size < _MIN_PAGE_BYTES:
                raise self._corrupt_error("the file is too short" if size else "the file is empty")
            os.chmod(self.database, 0o600)
            return sqlite3.connect(
                self.database, timeout=_BUSY_TIMEOUT_SECONDS, isolation_level=None, cached_statements=64
            )
        except (OSError, sqlite3.Error) as error:
            raise self.unusable_error(error) from error

    def _migrate(self, connection: sqlite3.Connection, migrations: Sequence[Migration]) -> None:
        latest, version = latest_version(migrations), read_version(connection)
        if version > latest:
            raise RecordsTooNewError(
                self.database,
                f"{self.database} was written by a newer downloadd (version {version} of the records, this one knows "
                f"up to {latest}); start the newer one or restore a backup",
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
        if version < latest:
            self._back_up(connection, version)
        apply_migrations(connection, migrations, version)

    def _create_database(self, migrations: Sequence[Migration], now: float) -> None:
        """Create the database under another name and rename it, so that a kill leaves all of it or nothing."""
        self._require_first_start()
        unfinished = self._create_file(DATABASE_FILE_NAME)
        connection = sqlite3.connect(unfinished, isolation_level=None)
        try:
            # An unfinished file is deleted by the next start, so that nothing need be durable before the rename.
            connection.execute("PRAGMA journal_mode = MEMORY")
            connection.execute("PRAGMA synchronous = OFF")
            apply_migrations(connection, migrations, 0)
            connection.execute("INSERT INTO birth VALUES (?)", (now,))
        finally:
            connection.close()
        _sync(unfinished, os.O_RDONLY)
        os.replace(unfinished, self.database)
        sync_directory(self.path)
        if self._was_used:
            log.warning(
                "records_created_empty",
                database=str(self.database),
                detail="a daemon used this directory before, but the database was missing; if there should be one, "
                "stop the daemon and restore a backup",
            )

    def _require_first_start(self) -> None:
        """Raise `RecordsUnreadableError` if there are signs of an earlier database, which is missing then."""
        if self.database.is_symlink():
            raise RecordsUnreadableError(
                self.database,
                f"{self.database} is a link to {os.readlink(self.database)}, which does not exist; restore that file, "
                "or remove the link to start with empty records",
            )
        left = sorted(name for name in os.listdir(self.path) if _RELATED_FILES.fullmatch(name))
        uploads = self.path / UPLOADS_DIRECTORY_NAME
        if uploads.is_dir() and any(is_operation_id(entry.name) for entry in uploads.iterdir()):
            left.append(UPLOADS_DIRECTORY_NAME)
        if left:
            raise RecordsUnreadableError(
                self.database,
                f"{self.database} is missing, but {', '.join(left)} of an earlier one exists; restore the database or "
                "a backup of it, or move these away too to start with empty records",
            )

    def _check_integrity(self, connection: sqlite3.Connection) -> None:
        """Check the whole database before a write that would make damage worse."""
        if os.stat(self.database).st_size > MAX_CHECKED_BYTES:
            return
        (result,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if result != "ok":
            raise self._corrupt_error(result.splitlines()[-1])

    def _require_complete_schema(self, connection: sqlite3.Connection, migrations: Sequence[Migration]) -> None:
        """Check that the database has all that these migrations create; it may have more."""
        missing = missing_objects(connection, migrations)
        if missing:
            raise RecordsUnreadableError(
                self.database,
                f"{self.database} is damaged: it has no {', no '.join(missing)}; restore a backup, or move it and "
                f"the files beside it whose names begin with {DATABASE_FILE_NAME} away to start with empty records",
            )

    def _corrupt_error(self, reason: str) -> RecordsUnreadableError:
        return RecordsUnreadableError(
            self.database,
            f"{self.database} is damaged or not a database ({reason}); restore a backup, or move it and the files "
            f"beside it whose names begin with {DATABASE_FILE_NAME} away to start with empty records",
        )

    def _back_up(self, connection: sqlite3.Connection, version: int) -> None:
        backup = self.path / f"{DATABASE_FILE_NAME}.v{version}.backup"
        unfinished = self._create_file(backup.name)
        target = sqlite3.connect(unfinished)
        try:
            connection.backup(target)
        finally:
            target.close()
        os.replace(unfinished, backup)
        sync_directory(self.path)

    def _create_file(self, name: str) -> Path:
        """Create an empty private file that is to be renamed to `name`, in place of one that a kill left."""
        path = self.path / f"{name}.unfinished"
        path.unlink(missing_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        return path


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
