"""Watch of the places from which users come, such as a file."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import structlog

from downloadd.accounts.user_file import stat_file
from downloadd.errors import StartupError, StoreUnavailableError
from downloadd.manager.tasks import TaskSet

POLL_SECONDS: Final = 1.0
"""Seconds after which a change is applied, unless the watch is woken."""

log = structlog.get_logger()


class WatchedFile:
    """File of users, which is applied when it has changed."""

    def __init__(self, file: Path, apply: Callable[[], Awaitable[None]]) -> None:
        """Take the file, which may be missing; `apply` reads it and replaces the users."""
        self._file = file
        self._apply = apply
        self._applied: object = None
        self._is_applied = False
        self._lock = asyncio.Lock()

    async def refresh(self) -> None:
        """Apply the file if it is not applied yet.

        Raises:
            StartupError: the file cannot be used; the next call tries it again.
        """
        async with self._lock:
            # Before the file is read, so that a later change is seen by the next call.
            found = await asyncio.to_thread(stat_file, self._file)
            if self._is_applied and found == self._applied:
                return
            await self._apply()
            if self._is_applied:
                log.info("users_changed", source=self._file.name)
            self._applied, self._is_applied = found, True


class UserWatch:
    """Reads the users of several sources every second. Opens and closes with `async with`.

    A failure of one source is logged once, and does not keep the others from being read.

    Raises:
        StartupError: on entering, a source cannot be used.
        DownloadError: on entering, a source cannot be used.
    """

    def __init__(self, sources: Mapping[str, Callable[[], Awaitable[None]]]) -> None:
        """Take the sources by their names in the log, each with what reads and applies it."""
        self._sources = sources
        self._problems: dict[str, str] = {}
        self._wake = asyncio.Event()
        self._tasks = TaskSet()

    async def __aenter__(self) -> Self:
        for refresh in self._sources.values():
            await refresh()
        self._tasks.spawn(self._watch())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._tasks.cancel()

    def wake(self) -> None:
        """Read the sources at once."""
        self._wake.set()

    async def _watch(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL_SECONDS):
                    await self._wake.wait()
            self._wake.clear()
            for name, refresh in self._sources.items():
                await self._read(name, refresh)

    async def _read(self, name: str, refresh: Callable[[], Awaitable[None]]) -> None:
        try:
            await refresh()
        except StoreUnavailableError:
            # The records log it themselves.
            return
        except (StartupError, OSError) as error:
            if self._problems.get(name) != str(error):
                self._problems[name] = str(error)
                log.error("users_not_read", source=name, mistakes=str(error).splitlines())
        except Exception:
            # A task that has ended would miss each revocation from then on.
            if name not in self._problems:
                log.exception("users_not_read", source=name)
                self._problems[name] = "unexpected"
        else:
            self._problems.pop(name, None)
