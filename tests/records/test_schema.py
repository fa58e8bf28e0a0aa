"""Migrations, and the comparison of a database with them."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest

from downloadd.records.schema import (
    Migration,
    apply_migrations,
    latest_version,
    missing_objects,
    read_version,
    shipped_migrations,
)

FIRST = Migration(version=1, sql="CREATE TABLE a (x, y); CREATE INDEX a_x ON a (x);")
SECOND = Migration(version=2, sql="CREATE TABLE b (z);")


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as opened:
        yield opened


def test_shipped_migrations_are_numbered_without_a_gap() -> None:
    versions = [migration.version for migration in shipped_migrations()]
    assert versions == list(range(1, len(versions) + 1))
    assert latest_version(shipped_migrations()) == len(versions) > 0
    assert latest_version(()) == 0


def test_only_newer_migrations_are_applied(connection: sqlite3.Connection) -> None:
    apply_migrations(connection, [FIRST], 0)
    apply_migrations(connection, [FIRST, SECOND], read_version(connection))
    assert read_version(connection) == 2
    assert missing_objects(connection, [FIRST, SECOND]) == []


def test_a_failed_migration_is_rolled_back(connection: sqlite3.Connection) -> None:
    failing = Migration(version=2, sql="CREATE TABLE b (z); INSERT INTO nowhere VALUES (1);")
    apply_migrations(connection, [FIRST], 0)
    with pytest.raises(sqlite3.OperationalError, match="nowhere"):
        apply_migrations(connection, [FIRST, failing], 1)
    assert not connection.in_transaction
    assert read_version(connection) == 1
    assert missing_objects(connection, [SECOND]) == ["column z of b", "table b"]


@pytest.mark.parametrize(
    ("sql", "missing"),
    [
        ("DROP INDEX a_x", ["index a_x of x"]),
        ("ALTER TABLE a DROP COLUMN y", ["column y of a"]),
        ("CREATE TABLE other (x)", []),
    ],
)
def test_missing_objects_are_named_and_further_ones_allowed(
    connection: sqlite3.Connection, sql: str, missing: list[str]
) -> None:
    apply_migrations(connection, [FIRST], 0)
    connection.execute(sql)
    assert missing_objects(connection, [FIRST]) == missing
