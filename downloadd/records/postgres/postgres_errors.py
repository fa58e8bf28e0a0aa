"""Meaning of the errors of PostgreSQL and its driver to callers of the records.

Messages hold no values and no credentials: the driver's own errors may quote both, and are not repeated.

Pure: no I/O and no clock.
"""

from typing import Final

import asyncpg

from downloadd.errors import DownloadError, InsufficientStorageError, StorageError, StoreUnavailableError

_DISK_FULL: Final = "53100"
_CORRUPTED: Final = frozenset({"XX001", "XX002"})
_LOST_CLASSES: Final = frozenset({"08", "57P"})
"""Classes of SQLSTATEs of a lost connection: its failures, and a server that shuts down, starts or ends a session."""
_UNAVAILABLE_PREFIXES: Final = ("08", "25", "28", "3D", "40", "42501", "53", "55", "57", "58")
"""Beginnings of the SQLSTATEs of failures that may pass: locks, resources, a standby, rights, a missing database."""
_CONFLICTS: Final = frozenset({"40001", "40P01"})
"""SQLSTATEs of a transaction that gave way to another one."""

DriverError = asyncpg.PostgresError | asyncpg.InterfaceError | asyncpg.InternalClientError | OSError | EOFError
"""Errors that the driver raises. `TimeoutError` is an `OSError`."""
DRIVER_ERRORS: Final = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
    EOFError,
)


def sqlstate(error: BaseException) -> str:
    """Return the code of an error of the server; "" for other errors."""
    return (getattr(error, "sqlstate", None) or "") if isinstance(error, asyncpg.PostgresError) else ""


def is_lost(error: BaseException) -> bool:
    """Return True if the connection is lost, so that the result of a commit under way is unknown."""
    if isinstance(error, asyncpg.PostgresError):
        return sqlstate(error).startswith(tuple(_LOST_CLASSES))
    # A value that cannot be encoded is a `DataError` and an `InterfaceError`, and leaves the connection as it was.
    is_interface = isinstance(error, asyncpg.InterfaceError | asyncpg.InternalClientError)
    return (is_interface and not isinstance(error, ValueError)) or isinstance(error, OSError | EOFError)


def is_conflict(error: BaseException) -> bool:
    """Return True if the transaction gave way to another one, and may be repeated at once."""
    return sqlstate(error) in _CONFLICTS or isinstance(error, asyncpg.InvalidCachedStatementError)


def storage_error(error: BaseException) -> DownloadError:
    """Return the error to raise in place of an error of the driver."""
    code = sqlstate(error)
    if code == _DISK_FULL:
        return InsufficientStorageError("the disk of the database server is full")
    if is_lost(error) or code.startswith(_UNAVAILABLE_PREFIXES):
        return StoreUnavailableError(f"the daemon's records are unavailable: {reason(error)}")
    if code in _CORRUPTED:
        return StorageError(f"the daemon's records are damaged ({reason(error)}); restore a backup of the database")
    return StorageError(f"the daemon's records failed: {reason(error)}")


def reason(error: BaseException) -> str:
    """Return a phrase for an error, without values and credentials."""
    if isinstance(error, asyncpg.PostgresError):
        # Most primary messages name tables and columns; those about data quote values.
        if sqlstate(error).startswith("22"):
            return "a value cannot be stored"
        return f"{error.args[0] if error.args else type(error).__name__} ({sqlstate(error) or 'no code'})"
    if isinstance(error, TimeoutError):
        return "the database server does not answer"
    if isinstance(error, OSError):
        return f"the connection to the database server failed ({error.strerror or type(error).__name__})"
    if isinstance(error, ValueError):
        return "a value cannot be stored"
    return "the connection to the database server was lost"
