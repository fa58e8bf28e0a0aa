"""Meaning of the errors of PostgreSQL and its driver."""

import asyncpg
import pytest

from downloadd.errors import DownloadError, InsufficientStorageError, StorageError, StoreUnavailableError
from downloadd.records.postgres.postgres_errors import is_conflict, is_lost, reason, sqlstate, storage_error


def server_error(code: str, message: str = "message") -> asyncpg.PostgresError:
    error: asyncpg.PostgresError = asyncpg.PostgresError.new({"C": code, "M": message})
    return error


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("53100", InsufficientStorageError),
        *((code, StoreUnavailableError) for code in ("08006", "57P01", "57P03", "55P03", "25006", "53300", "28P01")),
        *((code, StoreUnavailableError) for code in ("3D000", "42501", "57014", "58030", "40P01")),
        *((code, StorageError) for code in ("XX001", "23505", "42P01", "22003")),
    ],
)
def test_errors_of_the_server_are_mapped_by_their_codes(code: str, kind: type[DownloadError]) -> None:
    assert type(storage_error(server_error(code))) is kind
    assert sqlstate(server_error(code)) == code


@pytest.mark.parametrize(
    "error",
    [
        server_error("08006"),
        server_error("57P01"),
        ConnectionRefusedError(111, "Connection refused"),
        TimeoutError(),
        asyncpg.InterfaceError("connection is closed"),
        asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation"),
        EOFError(),
    ],
)
def test_a_lost_connection_is_told_from_other_errors(error: Exception) -> None:
    assert is_lost(error)
    assert isinstance(storage_error(error), StoreUnavailableError)


async def test_a_value_that_cannot_be_sent_is_not_repeated_in_the_message(database: str) -> None:
    connection = await asyncpg.connect(database)
    try:
        with pytest.raises(asyncpg.DataError) as raised:
            await connection.fetchval("SELECT $1::bigint", "s3cret")
    finally:
        await connection.close()
    assert not is_lost(raised.value)
    assert "s3cret" in str(raised.value)
    assert storage_error(raised.value).detail == "the daemon's records failed: a value cannot be stored"
    assert "s3cret" not in reason(server_error("22P02", 'invalid input syntax: "s3cret"'))


def test_a_transaction_that_gave_way_may_be_repeated() -> None:
    assert is_conflict(server_error("40P01"))
    assert is_conflict(server_error("40001"))
    assert not is_conflict(server_error("55P03"))
    assert not is_conflict(OSError())
