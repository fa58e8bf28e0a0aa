"""Protocol of the storage of import files, independent of where it is."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Protocol


class Uploads(Protocol):
    """Stored import files, one for each operation."""

    async def open(self) -> None:
        """Prepare the storage, before all other calls.

        Raises:
            StorageError: it cannot be used.
        """
        ...

    def path(self, operation: str) -> Path:
        """Return the path at which the whole file of an operation can be read, if it is stored."""
        ...

    async def save(self, operation: str, pieces: AsyncIterator[bytes]) -> int:
        """Store a file, in place of an earlier one of the operation, and return its length in bytes.

        It is whole and durable on return, and not at `path` before. One that fails changes nothing.

        Raises:
            ImportRefusedError: the file is too long.
            InsufficientStorageError: the disk is full, or `min_free` would not stay free.
            StorageError: the disk failed.
        """
        ...

    async def remove(self, operation: str) -> None:
        """Delete the file of an operation, if it exists."""
        ...

    async def remove_orphans(self, is_referenced: Callable[[str], Awaitable[bool]]) -> None:
        """Delete the files of operations for which `is_referenced` returns False; other files stay.

        For the start: files that an earlier process was storing go, too.
        """
        ...
