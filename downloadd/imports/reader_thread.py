"""Thread that reads uploaded files beside the event loop, one file at a time, so that the memory use has one bound."""

import asyncio
import io
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, TypeVar, TypeVarTuple, Unpack

from downloadd.import_operation import ImportItem
from downloadd.imports.importers import find_importer

_BUFFER_BYTES: Final = 64 * 1024

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class ReaderThread:
    """One thread, and the lock of the task that reads a file from start to end."""

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(1, "imports")
        self.lock = asyncio.Lock()
        """Held while a file is read in chunks."""

    async def probe(self, kind: str, path: Path) -> None:
        """Read the beginning of a file, between the chunks of another one.

        Raises:
            ImportRefusedError: the file is not of its kind.
        """
        await self.run(_probe, kind, path)

    async def run(self, work: Callable[[Unpack[Ts]], T], *args: *Ts) -> T:
        """Run `work` in the thread. If the caller is cancelled it runs to its end, before any later work."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, work, *args)

    def close(self) -> None:
        """Refuse new work and discard queued work, without waiting for the work under way."""
        self._executor.shutdown(wait=False, cancel_futures=True)


class BytesRead:
    """Number of bytes that were read from a file, for other threads.

    Attributes:
        value: the number.
    """

    def __init__(self) -> None:
        self.value = 0


class _CountingFile(io.FileIO):
    def __init__(self, path: Path, count: BytesRead) -> None:
        super().__init__(path, "rb")
        self._count = count

    def readinto(self, buffer: Any, /) -> int | None:
        nbytes = super().readinto(buffer)
        self._count.value += nbytes or 0
        return nbytes


def read_items(kind: str, path: Path, count: BytesRead) -> Iterator[ImportItem]:
    """Yield the items of a file, and count the bytes that are read; blocks.

    Raises:
        ImportRefusedError: the file is not of its kind.
        OSError: the file cannot be read.
    """
    # The generator owns the file, so that one whose task was cancelled closes it too.
    with io.BufferedReader(_CountingFile(path, count), _BUFFER_BYTES) as file:
        yield from find_importer(kind).read(file)


def _probe(kind: str, path: Path) -> None:
    next(read_items(kind, path, BytesRead()), None)
