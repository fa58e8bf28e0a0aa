"""Fence of import operations: a driver writes only while no other one has claimed its operation.

To be called in the transaction of the write.
"""

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import asyncpg

from downloadd.import_operation import Driver
from downloadd.records.import_protocol import ImportFencedError
from downloadd.records.writer import Rejection

T = TypeVar("T")

_HOLDS: Final = "SELECT 1 FROM operations WHERE id = $1 AND epoch = $2"
# A claim waits until the transaction has ended.
_HOLD: Final = f"{_HOLDS} FOR NO KEY UPDATE"


async def holds(connection: asyncpg.Connection, driver: Driver) -> bool:
    """Return True if a driver holds its operation."""
    return await connection.fetchval(_HOLDS, driver.operation, driver.epoch) is not None


async def is_fenced(connection: asyncpg.Connection, driver: Driver) -> bool:
    """Return True if a driver does not hold its operation; else it holds it until the transaction has ended."""
    return await connection.fetchval(_HOLD, driver.operation, driver.epoch) is None


def fenced(
    driver: Driver, write: Callable[[asyncpg.Connection], Awaitable[T | Rejection]]
) -> Callable[[asyncpg.Connection], Awaitable[T | Rejection]]:
    """Return a write that raises `ImportFencedError` if the driver does not hold its operation, else runs `write`."""

    async def checked(connection: asyncpg.Connection) -> T | Rejection:
        if await is_fenced(connection, driver):
            return Rejection(ImportFencedError(driver))
        return await write(connection)

    return checked
