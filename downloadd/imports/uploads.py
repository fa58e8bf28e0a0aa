"""Uploaded files, kept beside the records until they have been read."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import aiofiles
import structlog

from downloadd.errors import StorageError
from downloadd.imports.refusal import ImportRefusedError, RefusalCode
from downloadd.operation import is_operation_id

log = structlog.get_logger()

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

    async def sweep(self, wanted: set[str]) -> None:
        """Removes the files of operations but these; what else lies there is nobody's upload, and is left alone."""
        await asyncio.to_thread(self._sweep, wanted)

    def _sweep(self, wanted: set[str]) -> None:
        try:
            with os.scandir(self._folder) as entries:
                stale = [e.path for e in entries if e.name not in wanted and is_operation_id(e.name) and _is_file(e)]
            for path in stale:
                Path(path).unlink(missing_ok=True)
        except OSError as error:
            # They only take room; the next start tries again.
            log.warning("uploads_not_swept", error=error.strerror)


def _is_file(entry: "os.DirEntry[str]") -> bool:
    return entry.is_file(follow_symlinks=False)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, PRIVATE)
