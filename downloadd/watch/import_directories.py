"""Directories of the imports of all watch folders.

They are made from the second at which an import starts and the stem of its file. So `links.csv` and `links.txt`, or one
name in two folders, would share one, and the manifest of the second import would replace that of the first.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from downloadd.clock import Clock
from downloadd.import_operation import ImportOperation
from downloadd.imports.layout import format_import_directory

POLL_SECONDS: Final = 0.05
"""Seconds between two looks at the clock."""
MAX_DIRECTORIES: Final = 1024
"""Directories that are remembered: more than imports can start in a second."""


class ImportDirectories:
    """Directories of imports, below the directory `top`."""

    def __init__(self, top: str, clock: Clock) -> None:
        self._top = top
        self._clock = clock
        self._used: deque[str] = deque(maxlen=MAX_DIRECTORIES)

    @asynccontextmanager
    async def reserve(self, name: str) -> AsyncIterator[None]:
        """Wait until an import of a file that starts now has a directory of its own; start the import in the block."""
        # No event says that a second has passed.
        while (directory := self._format(int(self._clock.wall() * 1000), name)) in self._used:  # noqa: ASYNC110
            await asyncio.sleep(POLL_SECONDS)
        self._used.append(directory)
        try:
            yield
        except BaseException:
            self._used.remove(directory)
            raise

    def find(self, operation: ImportOperation) -> str:
        """Return the directory of an import."""
        return self._format(operation.started_at, operation.name)

    def _format(self, started_at: int, name: str) -> str:
        return format_import_directory(self._top, started_at, name)
