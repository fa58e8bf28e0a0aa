"""Uploaded files, kept beside the records until they have been read."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Final

import aiofiles

from downloadd.errors import StorageError
from downloadd.imports.refusal import ImportRefusedError, RefusalCode

PRIVATE: Final = 0o600
PIECE: Final = 1 << 20


class Uploads:
    """A directory with one file for each operation."""

    def __init__(self, folder: Path, max_upload: int) -> None:
        """`max_upload` in bytes."""
        self._folder = folder
        self._max_upload = max_upload

    async def open(self) -> None:
        """Makes the directory when it is missing.

        Raises:
            StorageError: it cannot be made.
        """
        try:
            await asyncio.to_thread(self._folder.mkdir, 0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"the directory for uploads cannot be made: {error.strerror}") from error

    def path(self, operation: str) -> Path:
        """Where the file of an operation lies."""
        return self._folder / operation

    async def keep(self, operation: str, pieces: AsyncIterator[bytes]) -> int:
        """Writes an upload down, durably; its length in bytes.

        Raises:
            ImportRefusedError: it is too long.
            StorageError: the disk refuses it.
        """
        size = 0
        try:
            async with aiofiles.open(self.path(operation), "wb", opener=_private) as file:
                async for piece in pieces:
                    size += len(piece)
                    if size > self._max_upload:
                        raise ImportRefusedError(
                            f"the file is larger than the limit of {self._max_upload} bytes (imports.max_upload)",
                            RefusalCode.FILE_TOO_LARGE,
                        )
                    await file.write(piece)
                await file.flush()
                await asyncio.to_thread(os.fsync, file.fileno())
        except OSError as error:
            await self.remove(operation)
            raise StorageError(f"the upload cannot be kept: {error.strerror}") from error
        except BaseException:
            await self.remove(operation)
            raise
        return size

    async def remove(self, operation: str) -> None:
        """Removes the file of an operation; does nothing when it is gone."""
        await asyncio.to_thread(self.path(operation).unlink, missing_ok=True)

    async def sweep(self, is_wanted: Callable[[str], Awaitable[bool]]) -> None:
        """Removes all files but those of operations that are wanted."""
        for name in await asyncio.to_thread(os.listdir, self._folder):
            if not await is_wanted(name):
                await self.remove(name)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, PRIVATE)
