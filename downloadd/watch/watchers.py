"""Watchers of all folders."""

from collections.abc import Sequence
from types import TracebackType
from typing import Self

from downloadd.clock import Clock
from downloadd.config import WatchConfig
from downloadd.watch.import_directories import ImportDirectories
from downloadd.watch.watcher import Imports, Watcher


class Watchers:
    """One watcher for each configured folder. Opens with `async with`, after the import service."""

    def __init__(self, configs: Sequence[WatchConfig], *, imports: Imports, directory: str, clock: Clock) -> None:
        """Take the folders; `directory` is that of all imports."""
        self._configs = configs
        self._imports = imports
        self._directories = ImportDirectories(directory, clock)
        self._clock = clock
        self._watchers: list[Watcher] = []

    async def __aenter__(self) -> Self:
        self._watchers = [
            Watcher(config, imports=self._imports, directories=self._directories, clock=self._clock)
            for config in self._configs
        ]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for watcher in self._watchers:
            await watcher.stop()
