"""Access of the stores to the database that they share."""

from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar

import asyncpg

from downloadd.records.writer import Rejection

T = TypeVar("T")


class PostgresAccess(Protocol):
    """The writer and the readers of a database."""

    async def write(self, run: Callable[[asyncpg.Connection], Awaitable[T | Rejection]], *, rows: int = 1) -> T:
        """Run an operation in a transaction of its own and return its result once the transaction is durable.

        `run` may be called again after a rollback. `rows` is the approximate number of rows written. The error of a
        `Rejection` is raised here.
        """
        ...

    async def execute(self, sql: str, *parameters: Any, rows: int = 1) -> int:
        """Execute a statement that changes no download; return the number of rows that it changed, durable on return.

        `rows` is the approximate number of rows, 0 for a change that nothing waits for.
        """
        ...

    async def read(self, run: Callable[[asyncpg.Connection], Awaitable[T]]) -> T:
        """Run a lookup, which may be called again, and return its result."""
        ...


async def execute_counted(connection: asyncpg.Connection, sql: str, *parameters: Any) -> int:
    """Execute a statement and return the number of rows that it changed."""
    status: str = await connection.execute(sql, *parameters)
    return int(status.rpartition(" ")[2])
