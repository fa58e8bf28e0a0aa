"""Uploaded files, stored beside the records until they are read."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import BinaryIO, Final

import structlog

from downloadd.clock import Clock
from downloadd.errors import InsufficientStorageError, StorageError
from downloadd.import_operation import ImportErrorCode, is_operation_id
from downloadd.imports.refusal import ImportRefusedError
from downloadd.storage.disk_space import DiskSpace, measure_disk_space
from downloadd.storage.free_space import FreeSpace
from downloadd.storage.os_errors import FULL_ERRNOS
from downloadd.storage.reclaim import Reclaim, reclaim_nothing, with_reclaimed_space

log = structlog.get_logger()

PRIVATE_MODE: Final = 0o600
CHUNK_BYTES: Final = 1 << 20


class UploadStore:
    """Directory with one file for each operation."""

    def __init__(
        self, folder: Path, *, max_upload: int, min_free: int, clock: Clock, reclaim: Reclaim = reclaim_nothing
    ) -> None:
        """Take the directory and the limits in bytes.

        `min_free` bytes stay free on its file system; `reclaim` frees space there before an upload is refused.
        """
        self._folder = folder
        self._reclaim = reclaim
        self._max_upload = max_upload
        self._space = FreeSpace(self._read_space, min_free=min_free, clock=clock)

    async def open(self) -> None:
        """Create the directory if it is missing.

        Raises:
            StorageError: it cannot be created.
        """
        try:
            await asyncio.to_thread(self._folder.mkdir, 0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"the directory of uploads cannot be created: {error.strerror}") from error

    def path(self, operation: str) -> Path:
        """Return the path of the file of an operation."""
        return self._folder / operation

    async def save(self, operation: str, pieces: AsyncIterator[bytes]) -> int:
        """Store an upload, durable on return, and return its length in bytes.

        An upload that fails leaves no file.

        Raises:
            ImportRefusedError: the upload is too long.
            InsufficientStorageError: the disk is full, or `min_free` would not stay free.
            StorageError: the disk failed.
        """
        size = 0
        try:
            file = await asyncio.to_thread(open, self.path(operation), "wb", opener=_open_private)
            try:
                async for piece in pieces:
                    size += len(piece)
                    if size > self._max_upload:
                        raise ImportRefusedError(
                            f"the file is larger than the limit of {self._max_upload} bytes (imports.max_upload_size)",
                            ImportErrorCode.FILE_TOO_LARGE,
                        )
                    write = partial(asyncio.to_thread, self._write, file, piece)
                    await with_reclaimed_space(write, self._reclaim)
                await asyncio.to_thread(_sync, file)
            finally:
                # Waits for a cancelled write, which continues in its thread.
                await asyncio.to_thread(file.close)
        except OSError as error:
            await self.remove(operation)
            detail = f"the upload cannot be stored: {error.strerror}"
            raise (InsufficientStorageError if error.errno in FULL_ERRNOS else StorageError)(detail) from error
        except BaseException:
            await self.remove(operation)
            raise
        return size

    async def remove(self, operation: str) -> None:
        """Delete the file of an operation, if it exists."""
        await asyncio.to_thread(self.path(operation).unlink, missing_ok=True)

    async def remove_orphans(self, is_referenced: Callable[[str], Awaitable[bool]]) -> None:
        """Delete the files of operations for which `is_referenced` returns False; other files stay."""
        for name in await asyncio.to_thread(self._list_operation_ids):
            if not await is_referenced(name):
                await self.remove(name)

    # The methods below run in threads.

    def _list_operation_ids(self) -> list[str]:
        try:
            with os.scandir(self._folder) as entries:
                return [
                    entry.name
                    for entry in entries
                    if is_operation_id(entry.name) and entry.is_file(follow_symlinks=False)
                ]
        except OSError as error:
            # Orphans only take space; the next start tries again.
            log.warning("upload_cleanup_failed", error=error.strerror)
            return []

    def _read_space(self) -> DiskSpace:
        return measure_disk_space(self._folder)

    def _write(self, file: BinaryIO, piece: bytes) -> None:
        with self._space.reserve(len(piece)):
            file.write(piece)


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, PRIVATE_MODE)
