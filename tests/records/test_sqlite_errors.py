"""Mapping of SQLite's errors."""

import contextlib
import sqlite3

import pytest

from downloadd.errors import InsufficientStorageError, StorageError, StoreUnavailableError
from downloadd.records.sqlite_errors import is_corruption, is_locked, is_undecodable, primary_code, storage_error


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (sqlite3.SQLITE_BUSY_SNAPSHOT, StoreUnavailableError),
        (sqlite3.SQLITE_LOCKED, StoreUnavailableError),
        (sqlite3.SQLITE_IOERR_FSYNC, StoreUnavailableError),
        (sqlite3.SQLITE_CANTOPEN, StoreUnavailableError),
        (sqlite3.SQLITE_READONLY_DBMOVED, StoreUnavailableError),
        (sqlite3.SQLITE_FULL, InsufficientStorageError),
        (sqlite3.SQLITE_CORRUPT, StorageError),
        (sqlite3.SQLITE_NOTADB, StorageError),
        (sqlite3.SQLITE_CONSTRAINT_UNIQUE, StorageError),
        (sqlite3.SQLITE_ERROR, StorageError),
    ],
)
def test_failures_that_may_pass_are_distinguished_from_damage(code: int, kind: type[Exception]) -> None:
    error = sqlite3.OperationalError("message of SQLite")
    error.sqlite_errorcode = code
    mapped = storage_error(error)
    assert type(mapped) is kind
    if kind is StoreUnavailableError:
        assert mapped.retry_after == StoreUnavailableError.RETRY_AFTER


def test_a_full_database_is_insufficient_storage() -> None:
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("PRAGMA max_page_count = 2")
        with pytest.raises(sqlite3.Error) as caught:
            connection.execute("CREATE TABLE t AS SELECT zeroblob(100000)")
    assert type(storage_error(caught.value)) is InsufficientStorageError


def sqlite_error(code: int) -> sqlite3.OperationalError:
    error = sqlite3.OperationalError("message")
    error.sqlite_errorcode = code
    return error


def test_the_primary_code_omits_the_extended_part() -> None:
    assert primary_code(sqlite_error(sqlite3.SQLITE_BUSY_SNAPSHOT)) == sqlite3.SQLITE_BUSY
    assert primary_code(sqlite3.ProgrammingError("of the module")) == sqlite3.SQLITE_ERROR


def test_a_lock_is_recognized() -> None:
    assert is_locked(sqlite_error(sqlite3.SQLITE_BUSY))
    assert not is_locked(sqlite_error(sqlite3.SQLITE_IOERR))
    assert not is_locked(StoreUnavailableError("x"))


def test_corruption_is_recognized() -> None:
    assert is_corruption(sqlite_error(sqlite3.SQLITE_NOTADB))
    assert not is_corruption(sqlite_error(sqlite3.SQLITE_FULL))


def test_a_text_that_is_not_utf_8_is_recognized_and_not_quoted() -> None:
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        with pytest.raises(sqlite3.OperationalError) as caught:
            connection.execute("SELECT CAST(x'ff' || 's3cret' AS TEXT)").fetchone()
        assert is_undecodable(caught.value)
        assert "s3cret" in str(caught.value)
        assert "s3cret" not in str(storage_error(caught.value))
        with pytest.raises(sqlite3.OperationalError) as other:
            connection.execute("SELECT * FROM missing")
        assert not is_undecodable(other.value)


def test_an_integer_that_is_too_large_is_a_storage_error() -> None:
    assert type(storage_error(OverflowError("too large"))) is StorageError
