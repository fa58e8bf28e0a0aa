"""Fence of import operations: a driver writes only while no other one has claimed its operation.

To be called in the transaction of the write.
"""

import sqlite3
from collections.abc import Callable
from typing import Final, TypeVar

from downloadd.import_operation import Driver
from downloadd.records.import_protocol import ImportFencedError
from downloadd.records.rows import to_bindable
from downloadd.records.writer import Rejection

T = TypeVar("T")

_HOLDS: Final = "SELECT EXISTS (SELECT 1 FROM operations WHERE id = ? AND epoch = ?)"


def holds(connection: sqlite3.Connection, driver: Driver) -> bool:
    """Return True if a driver holds its operation."""
    parameters = to_bindable((driver.operation, driver.epoch))
    return bool(connection.execute(_HOLDS, parameters).fetchone()[0])


def fenced(
    driver: Driver, write: Callable[[sqlite3.Cursor], T | Rejection]
) -> Callable[[sqlite3.Cursor], T | Rejection]:
    """Return a write that raises `ImportFencedError` if the driver does not hold its operation, else runs `write`."""

    def checked(cursor: sqlite3.Cursor) -> T | Rejection:
        return write(cursor) if holds(cursor.connection, driver) else Rejection(ImportFencedError(driver))

    return checked
