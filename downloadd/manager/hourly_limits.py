"""Limits of hours of the week: applied when they begin and end, beside changes of users."""

import asyncio
from collections.abc import Callable, Collection, Sequence
from types import TracebackType
from typing import Final, Self

import structlog
from msgspec import UNSET
from msgspec.structs import asdict, replace

from downloadd.clock import Clock
from downloadd.config import DownloadsConfig, LimitConfig
from downloadd.events import EventBus, SettingsChanged
from downloadd.hours import Hours, find_holding, next_change
from downloadd.manager.run_limits import RunLimits
from downloadd.manager.tasks import TaskSet
from downloadd.runtime_settings import CurrentSettings, LimitHours, RuntimeSettings

log = structlog.get_logger()

MAX_CHECK_SECONDS: Final = 30.0
"""Seconds between two looks at the clock at most, because it may be set."""
MIN_CHECK_SECONDS: Final = 0.05
"""Seconds between two looks at least: a timer may end just before its time."""


def limits_of(config: DownloadsConfig, entry: LimitConfig | None, max_runs: int | None = None) -> RuntimeSettings:
    """Return the limits of the configuration while the hours of an entry hold; None for no hours.

    `max_runs` is the number of downloads that the open files of the process are enough for.
    """
    settings = RuntimeSettings(
        max_concurrent=config.max_concurrent, max_per_host=config.max_per_host, speed_limit=config.speed_limit
    )
    if entry is None:
        return settings
    concurrent = config.max_concurrent if entry.max_concurrent is UNSET else entry.max_concurrent
    return replace(
        settings,
        max_concurrent=concurrent if max_runs is None else min(concurrent, max(max_runs, config.max_concurrent)),
        speed_limit=config.speed_limit if entry.speed_limit is UNSET else entry.speed_limit,
        allow_starts=entry.allow_starts,
    )


def follow_hours(current: RuntimeSettings, before: RuntimeSettings, after: RuntimeSettings) -> RuntimeSettings:
    """Return the limits after a change of the hours: the values that differ between them, and the others as they are.

    So a change of a user lasts until hours begin or end that limit the same value.
    """
    old, new = asdict(before), asdict(after)
    return replace(current, **{name: value for name, value in new.items() if value != old[name]})


class HourlyLimits:
    """The limits of `[[limits]]`; applies those whose hours hold. Opens with `async with`, before downloads start.

    Attributes:
        max_runs: as in `limits_of`.
        on_configured: called with the names of limits that the configuration or its hours set in place of users.
    """

    def __init__(
        self,
        limits: RunLimits,
        *,
        entries: Sequence[LimitConfig],
        config: DownloadsConfig,
        bus: EventBus,
        clock: Clock,
        max_runs: int | None = None,
    ) -> None:
        """Take the limits of the manager, which are those of `config`; `max_runs` is as in `limits_of`."""
        self._limits = limits
        self._bus = bus
        self._clock = clock
        self.max_runs = max_runs
        self.on_configured: Callable[[Collection[str]], None] = lambda names: None
        self._tasks = TaskSet()
        self._configured = asyncio.Event()
        self._set(entries, config)

    async def __aenter__(self) -> Self:
        """Apply the limits of the hours that hold now, and of those that follow."""
        self._apply()
        self._tasks.spawn(self._watch())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Apply nothing any more."""
        await self._tasks.cancel()

    def configure(self, entries: Sequence[LimitConfig], config: DownloadsConfig) -> None:
        """Replace the entries, after the limits of `config` were applied; the changes of users are gone with it."""
        self._set(entries, config)
        self._apply()
        self._configured.set()
        self.on_configured(RuntimeSettings.__struct_fields__)

    @property
    def settings(self) -> CurrentSettings:
        """Return the limits that hold now, and the hours that they are from."""
        entry = self._entry
        return CurrentSettings(
            **asdict(self._limits.settings),
            hours=None if entry is None else LimitHours(hours=entry.hours, days=entry.days, time_zone=entry.time_zone),
            next_change=next_change(self._windows, self._clock.wall()),
        )

    @property
    def configured(self) -> RuntimeSettings:
        """Return the limits of the configuration and of the hours that hold now, without the changes of users."""
        return limits_of(self._config, self._entry, self.max_runs)

    def _set(self, entries: Sequence[LimitConfig], config: DownloadsConfig) -> None:
        self._entries, self._config = entries, config
        self._windows = [Hours.parse(entry.hours, entry.days, entry.time_zone) for entry in entries]
        self._entry: LimitConfig | None = None

    def _apply(self) -> None:
        """Apply the limits of the hours that hold now, if they are others than before."""
        index = find_holding(self._windows, self._clock.wall())
        entry = None if index is None else self._entries[index]
        if entry == self._entry:
            return
        before, after = (limits_of(self._config, one, self.max_runs) for one in (self._entry, entry))
        self._entry = entry
        self.on_configured([name for name in after.__struct_fields__ if getattr(before, name) != getattr(after, name)])
        source = "" if entry is None else str(entry)
        self._limits.change(follow_hours(self._limits.settings, before, after), source=source)
        log.info("hourly_limits_changed", hours=source or None, **asdict(self._limits.settings))
        self._bus.publish(SettingsChanged(settings=self.settings))

    async def _watch(self) -> None:
        """Apply the limits of each hour that begins, until cancelled."""
        while True:
            self._configured.clear()
            try:
                async with asyncio.timeout(self._seconds_to_check()):
                    await self._configured.wait()
            except TimeoutError:
                self._apply()

    def _seconds_to_check(self) -> float | None:
        if not self._windows:
            return None
        now = self._clock.wall()
        change = next_change(self._windows, now)
        left = MAX_CHECK_SECONDS if change is None else change - now
        return min(max(left, MIN_CHECK_SECONDS), MAX_CHECK_SECONDS)
