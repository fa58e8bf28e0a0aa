"""Reads uploads beside the event loop: one at a time, whoever uploads, so that what each may hold does not add up."""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar, TypeVarTuple, Unpack

from downloadd.import_operation import ImportItem, ImportKind
from downloadd.imports.importers import IMPORTERS

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class ReaderThread:
    """One thread, and one lock for whoever reads a file from its start to its end."""

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(1, "imports")
        self.lock = asyncio.Lock()
        """To be held while an upload is read in chunks."""

    async def probe(self, kind: ImportKind, path: Path) -> None:
        """Looks at the beginning of an upload; goes between the chunks of another one.

        Raises:
            ImportRefusedError: it is not what its kind is.
        """
        await self.run(_probe, kind, path)

    async def run(self, work: Callable[[Unpack[Ts]], T], *args: *Ts) -> T:
        """Does work in the thread. When the caller is cancelled it goes on to its end, and what comes next waits."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, work, *args)

    def close(self) -> None:
        """Takes no more work, and leaves what is at work to its end."""
        self._executor.shutdown(wait=False, cancel_futures=True)


def read_items(kind: ImportKind, path: Path) -> Iterator[ImportItem]:
    """What is in an upload; blocks.

    Raises:
        ImportRefusedError: it is not what its kind is.
        OSError: it cannot be read.
    """
    # Opened by whoever reads: a reader that nobody waits for any more closes it, too.
    with path.open("rb") as file:
        yield from IMPORTERS[kind](file)


def _probe(kind: ImportKind, path: Path) -> None:
    next(read_items(kind, path), None)
