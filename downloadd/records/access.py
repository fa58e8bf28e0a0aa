"""Access of the stores to the database that they share."""

import sqlite3
from collections.abc import Callable
from typing import Protocol, TypeVar

from downloadd.records.writer import Rejection

T = TypeVar("T")


class DatabaseAccess(Protocol):
    """The writer and the readers of a database."""

    async def write(self, run: Callable[[sqlite3.Cursor], T | Rejection], *, rows: int = 1) -> T:
        """Run an operation in a transaction and return its result once the transaction is durable.

        `run` is called in another thread, and may be called twice. `rows` is the approximate number of rows written.
        The error of a `Rejection` is raised here.
        """
        ...

    async def read(self, run: Callable[[sqlite3.Connection], T]) -> T:
        """Run a lookup in a reading thread and return its result."""
        ...
