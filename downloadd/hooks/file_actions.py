"""Actions on the files of completed downloads: their extraction, and their move to another directory."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import msgspec

from downloadd.config import HookConfig
from downloadd.delivery import Delivery
from downloadd.download import Download
from downloadd.errors import DownloadError, FileChangedError, NotFoundError, NotOnDiskError
from downloadd.hooks.archive_names import archive_stem
from downloadd.hooks.extraction import ExtractionRefusedError, extract_archive
from downloadd.hooks.outcome import Delivered, DeliveryFailed
from downloadd.hooks.relocation import place_file
from downloadd.hooks.unpacked_archive import LibraryMissingError
from downloadd.storage.destination import Destination
from downloadd.storage.finished_files import FileReader
from downloadd.storage.names import parse_filename
from downloadd.storage.path_template import fill_path_template, template_values


class FileSource(msgspec.Struct, frozen=True, kw_only=True):
    """Components by which the files of downloads are found, read and written."""

    find: Callable[[str], Awaitable[Download | None]]
    """Returns the row of a download; None if the history does not have it any more."""
    files: FileReader
    destination: Destination


class FileActions:
    """Runner of the actions, one at a time, so that they leave the disk to downloads.

    Attributes:
        source: its components; a future, because hooks are opened before them.
    """

    def __init__(self) -> None:
        self.source: asyncio.Future[FileSource] = asyncio.get_running_loop().create_future()
        self._lock = asyncio.Lock()
        self._tasks: set[asyncio.Task[Any]] = set()

    async def close(self) -> None:
        """Cancel the actions that run, and let all others wait; call it before the storage is closed."""
        self.source = asyncio.get_running_loop().create_future()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def extract(self, hook: HookConfig, delivery: Delivery) -> Delivered | DeliveryFailed:
        """Extract the archive of a download."""
        return await self._run(delivery, lambda source, row, file: _extract(hook, source, row, file))

    async def move(self, hook: HookConfig, delivery: Delivery) -> Delivered | DeliveryFailed:
        """Move the file of a download."""
        return await self._run(delivery, lambda source, row, file: _move(hook, source, row, file))

    async def _run(self, delivery: Delivery, act: "_Act") -> Delivered | DeliveryFailed:
        source = await asyncio.shield(self.source)
        async with self._cancelled_on_close(), self._lock:
            try:
                download = await source.find(delivery.download_id)
                if download is None:
                    return DeliveryFailed(reason="the history does not have the download any more", permanent=True)
                async with _opened(source, download) as file:
                    return await act(source, download, file)
            except NotFoundError:
                # It was moved or removed, maybe by an attempt whose end was not recorded.
                return Delivered(answer="the file is not there any more")
            except (ExtractionRefusedError, FileChangedError, NotOnDiskError) as error:
                return DeliveryFailed(reason=str(error), permanent=True)
            except LibraryMissingError as error:
                # An attempt after the installation succeeds.
                return DeliveryFailed(reason=str(error))
            except DownloadError as error:
                return DeliveryFailed(reason=error.detail)
            except OSError as error:
                return DeliveryFailed(reason=error.strerror or type(error).__name__)

    @asynccontextmanager
    async def _cancelled_on_close(self) -> AsyncIterator[None]:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a coroutine is run by a task
        self._tasks.add(task)
        try:
            yield
        finally:
            self._tasks.discard(task)


class _Act(Protocol):
    def __call__(self, source: FileSource, row: Download, file: BinaryIO, /) -> Awaitable[Delivered]: ...


@asynccontextmanager
async def _opened(source: FileSource, download: Download) -> AsyncIterator[BinaryIO]:
    finished = await source.files.open(
        directory=download.request.directory,
        filename=parse_filename(download.filename),
        identity=download.result.file_identity,
    )
    async with finished:
        file = finished.duplicate()
        try:
            yield file
        finally:
            await asyncio.to_thread(file.close)


async def _extract(hook: HookConfig, source: FileSource, download: Download, file: BinaryIO) -> Delivered:
    stem = archive_stem(download.filename)
    if stem is None:
        return Delivered(answer="not an archive")
    extracted = await extract_archive(
        file, download, stem=stem, max_bytes=hook.max_extracted_size, destination=source.destination
    )
    if hook.remove_archive:
        await _remove(source, download)
    left_out = f", {extracted.skipped} left out" if extracted.skipped else ""
    return Delivered(answer=f"{extracted.files} files in {extracted.directory}{left_out}")


async def _move(hook: HookConfig, source: FileSource, download: Download, file: BinaryIO) -> Delivered:
    values = template_values(
        directory=download.request.directory,
        user=download.user,
        url=download.request.redacted_url,
        time=datetime.fromtimestamp(download.result.end_time or download.start_time, UTC),
    )
    directory, name = Path(fill_path_template(hook.move_to, values)), parse_filename(download.filename)
    path = await asyncio.to_thread(place_file, file, directory, name, token=download.id)
    if path is None:
        return Delivered(answer=f"it is in {directory} already")
    await _remove(source, download)
    if await asyncio.to_thread(path.exists):
        return Delivered(answer=f"moved to {path}")
    # Through another mount, it was the directory of the file itself; the open file has the bytes still.
    await asyncio.to_thread(place_file, file, directory, name, token=download.id)
    return Delivered(answer=f"it is in {directory} already")


async def _remove(source: FileSource, download: Download) -> None:
    await source.destination.remove_file(
        directory=download.request.directory,
        filename=parse_filename(download.filename),
        identity=download.result.file_identity,
        checksum=download.result.checksum,
    )
