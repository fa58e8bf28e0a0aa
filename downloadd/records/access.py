"""How the parts of the records that live in one database read and write it."""

import sqlite3
from collections.abc import Callable
from typing import Protocol, TypeVar

T = TypeVar("T")


class DatabaseAccess(Protocol):
    """The writer and the readers of a database."""

    async def write(self, run: Callable[[sqlite3.Cursor], T], *, rows: int = 1) -> T:
        """Runs an operation in a durable transaction; it may be called twice."""
        ...

    async def read(self, run: Callable[[sqlite3.Connection], T]) -> T:
        """Runs a lookup."""
        ...
