"""Import files in a directory of this machine, beside the records."""

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import BinaryIO, Final

import structlog

from downloadd.clock import Clock
from downloadd.errors import DownloadError, InsufficientStorageError, StorageError
from downloadd.import_operation import ImportErrorCode, is_operation_id
from downloadd.imports.refusal import ImportRefusedError
from downloadd.stable_storage import sync_directory
from downloadd.storage.disk_space import DiskSpace, measure_disk_space
from downloadd.storage.free_space import FreeSpace
from downloadd.storage.os_errors import FULL_ERRNOS
from downloadd.storage.reclaim import Reclaim, reclaim_nothing, with_reclaimed_space

log = structlog.get_logger()

PRIVATE_MODE: Final = 0o600
CHUNK_BYTES: Final = 1 << 20
MAX_PAUSE_SECONDS: Final = 86_400.0
"""Seconds after its last write for which an unfinished file in a shared directory may belong to another node."""
_TOKEN_BYTES: Final = 8


class LocalUploads:
    """`Uploads` in a directory with one file for each operation."""

    def __init__(
        self,
        folder: Path,
        *,
        max_upload: int,
        min_free: int,
        clock: Clock,
        reclaim: Reclaim = reclaim_nothing,
        check_shared: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """Take the directory and the limits in bytes.

        `min_free` bytes stay free on its file system; `reclaim` frees space there before an upload is refused. With
        `check_shared`, other nodes use the directory too; it raises `DownloadError` while that is not there.
        """
        self._folder = folder
        self._check_shared = check_shared
        self._clock = clock
        self._reclaim = reclaim
        self._max_upload = max_upload
        self._space = FreeSpace(self._read_space, min_free=min_free, clock=clock)

    async def open(self) -> None:
        """Create the directory if it is missing; see `Uploads.open`."""
        try:
            await self._make_folder()
        except DownloadError as error:
            if self._check_shared is None:
                raise
            # The storage may be back later.
            log.warning("uploads_unavailable", error=error.code, detail=error.detail)

    async def _make_folder(self) -> None:
        if self._check_shared is not None:
            await self._check_shared()
        try:
            await asyncio.to_thread(self._folder.mkdir, 0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"the directory of uploads cannot be created: {error.strerror}") from error

    def path(self, operation: str) -> Path:
        """Return the path of the file of an operation; see `Uploads.path`."""
        return self._folder / operation

    async def save(self, operation: str, pieces: AsyncIterator[bytes]) -> int:
        """Store a file; see `Uploads.save`."""
        size = 0
        if self._check_shared is not None:
            await self._make_folder()
        # Two drivers of an operation may store its file at the same time.
        unfinished = self._folder / f"{operation}.{secrets.token_hex(_TOKEN_BYTES)}"
        try:
            file = await asyncio.to_thread(open, unfinished, "xb", opener=_open_private)
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
            await asyncio.to_thread(self._publish, unfinished, self.path(operation))
        except OSError as error:
            await _remove(unfinished)
            detail = f"the upload cannot be stored: {error.strerror}"
            raise (InsufficientStorageError if error.errno in FULL_ERRNOS else StorageError)(detail) from error
        except BaseException:
            await _remove(unfinished)
            raise
        return size

    async def remove(self, operation: str) -> None:
        """Delete the file of an operation, if it exists."""
        await _remove(self.path(operation))

    async def remove_orphans(self, is_referenced: Callable[[str], Awaitable[bool]]) -> None:
        """Delete the files of operations for which `is_referenced` returns False; see `Uploads.remove_orphans`."""
        for name in await asyncio.to_thread(self._list_names):
            if is_operation_id(name) and not await is_referenced(name):
                await self.remove(name)
            elif _is_unfinished(name) and await asyncio.to_thread(self._is_abandoned, name):
                await _remove(self._folder / name)

    # The methods below run in threads.

    def _list_names(self) -> list[str]:
        try:
            with os.scandir(self._folder) as entries:
                return [entry.name for entry in entries if entry.is_file(follow_symlinks=False)]
        except OSError as error:
            # Orphans only take space; the next start tries again.
            log.warning("upload_cleanup_failed", error=error.strerror)
            return []

    def _is_abandoned(self, name: str) -> bool:
        """Return True if no process writes an unfinished file any more; another node may."""
        if self._check_shared is None:
            return True
        try:
            return (self._folder / name).stat().st_mtime < self._clock.wall() - MAX_PAUSE_SECONDS
        except OSError:
            return False

    def _read_space(self) -> DiskSpace:
        return measure_disk_space(self._folder)

    def _write(self, file: BinaryIO, piece: bytes) -> None:
        with self._space.reserve(len(piece)):
            file.write(piece)

    def _publish(self, unfinished: Path, path: Path) -> None:
        unfinished.rename(path)
        sync_directory(self._folder)


async def _remove(path: Path) -> None:
    await asyncio.to_thread(path.unlink, missing_ok=True)


def _is_unfinished(name: str) -> bool:
    operation, _, token = name.partition(".")
    return is_operation_id(operation) and len(token) == 2 * _TOKEN_BYTES


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, PRIVATE_MODE)
