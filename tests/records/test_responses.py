"""Responses under an `Idempotency-Key`."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest
from msgspec.structs import replace
from records.contract import DAY, NOW, make_response

from downloadd.errors import StorageError
from downloadd.records.responses import find_response, store_response
from downloadd.records.schema import apply_migrations, shipped_migrations


@pytest.fixture
def cursor() -> Iterator[sqlite3.Cursor]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        apply_migrations(connection, shipped_migrations(), 0)
        yield connection.cursor()


def test_a_stored_response_is_found_by_user_and_key(cursor: sqlite3.Cursor) -> None:
    response = make_response()
    store_response(cursor, response, now=NOW)
    asked = replace(response, fingerprint=b"other", status=0, body=b"", created=0.0)
    assert find_response(cursor, asked, now=NOW) == response
    assert find_response(cursor, make_response("other"), now=NOW) is None
    assert find_response(cursor, make_response(user="bob"), now=NOW) is None


def test_a_response_expires_after_a_day(cursor: sqlite3.Cursor) -> None:
    store_response(cursor, make_response(), now=NOW)
    assert find_response(cursor, make_response(), now=NOW + DAY) is not None
    assert find_response(cursor, make_response(), now=NOW + DAY + 1) is None


def test_an_expired_response_is_replaced(cursor: sqlite3.Cursor) -> None:
    store_response(cursor, make_response(), now=NOW)
    renewed = make_response(fingerprint=b"new", created=NOW + 2 * DAY)
    store_response(cursor, renewed, now=NOW + 2 * DAY)
    assert find_response(cursor, renewed, now=NOW + 2 * DAY) == renewed


def test_each_new_response_deletes_a_limited_number_of_expired_ones(cursor: sqlite3.Cursor) -> None:
    for number in range(20):
        store_response(cursor, make_response(str(number)), now=NOW)
    store_response(cursor, make_response("new", created=NOW + 2 * DAY), now=NOW + 2 * DAY)
    assert cursor.execute("SELECT count(*) FROM answers").fetchone() == (20 - 16 + 1,)


def test_a_key_that_is_not_unicode_is_stored(cursor: sqlite3.Cursor) -> None:
    store_response(cursor, make_response("k\udcff"), now=NOW)
    assert find_response(cursor, make_response("k\udcff"), now=NOW) is not None


def test_a_damaged_response_is_reported(cursor: sqlite3.Cursor) -> None:
    store_response(cursor, make_response(), now=NOW)
    cursor.execute("UPDATE answers SET body = 7")
    with pytest.raises(StorageError, match="is damaged"):
        find_response(cursor, make_response(), now=NOW)
