"""Fence of import operations."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest
from support.fake_imports import make_operation

from downloadd.import_operation import Driver
from downloadd.records.import_fence import fenced, holds
from downloadd.records.import_operations import create_operation
from downloadd.records.import_protocol import ImportFencedError
from downloadd.records.schema import apply_migrations, shipped_migrations
from downloadd.records.writer import Rejection


@pytest.fixture
def cursor() -> Iterator[sqlite3.Cursor]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        apply_migrations(connection, shipped_migrations(), 0)
        create_operation(connection.cursor(), make_operation(id="a"))
        yield connection.cursor()


def test_the_driver_of_the_last_epoch_holds_its_operation(cursor: sqlite3.Cursor) -> None:
    cursor.execute("UPDATE operations SET epoch = 2")
    drivers = [Driver("a", 1), Driver("a", 2), Driver("a", 3), Driver("b", 2), Driver("\udcff", 2)]
    assert [holds(cursor.connection, driver) for driver in drivers] == [False, True, False, False, False]


def test_a_write_of_another_driver_is_rejected_and_does_not_run(cursor: sqlite3.Cursor) -> None:
    runs: list[int] = []
    write = fenced(Driver("a", 0), lambda cursor: runs.append(1))
    assert write(cursor) is None
    cursor.execute("UPDATE operations SET epoch = 1")
    rejection = write(cursor)
    assert isinstance(rejection, Rejection)
    assert isinstance(rejection.error, ImportFencedError)
    assert (rejection.error.driver, runs) == (Driver("a", 0), [1])
