"""Meaning of SQLite's errors to callers of the records.

Pure: no I/O and no clock.
"""

import sqlite3
from typing import Final

from downloadd.errors import DownloadError, InsufficientStorageError, StorageError, StoreUnavailableError

_UNAVAILABLE_CODES: Final = frozenset(
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
"""Primary codes of failures around the database, which may pass; the others concern its content or the statement."""
_CORRUPTION_CODES: Final = frozenset({sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT})


def primary_code(error: sqlite3.Error) -> int:
    """Return the primary result code of an error (https://sqlite.org/rescode.html), without the extended part."""
    # Only errors that SQLite itself reports have a code.
    code: int = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    return code & 0xFF


def is_locked(error: Exception) -> bool:
    """Return True if another program holds the lock of the database."""
    return isinstance(error, sqlite3.Error) and primary_code(error) == sqlite3.SQLITE_BUSY


def is_corruption(error: sqlite3.Error) -> bool:
    """Return True if the file is damaged or not a database."""
    return primary_code(error) in _CORRUPTION_CODES


def is_undecodable(error: sqlite3.Error) -> bool:
    """Return True if a text was not UTF-8. The message of such an error holds the text, which may be a secret."""
    # The sqlite3 module raises it, not SQLite: it has no code.
    return isinstance(error, sqlite3.OperationalError) and not hasattr(error, "sqlite_errorcode")


def storage_error(error: sqlite3.Error | OverflowError) -> DownloadError:
    """Return the error to raise in place of the failure of a statement."""
    if isinstance(error, sqlite3.Error):
        code = primary_code(error)
        if code == sqlite3.SQLITE_FULL:
            return InsufficientStorageError("the disk of the daemon's records is full")
        if code in _CORRUPTION_CODES:
            return StorageError(
                f"the daemon's records are damaged ({error}); stop the daemon and restore a backup of them"
            )
        if code in _UNAVAILABLE_CODES:
            return StoreUnavailableError(f"the daemon's records are unavailable: {error}")
        if is_undecodable(error):
            return StorageError("a text in the daemon's records is damaged; restore a backup of them")
    return StorageError(f"the daemon's records failed: {error}")
