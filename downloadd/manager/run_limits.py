"""Limits on all runs together, which may be changed while downloads run."""

from typing import Final

from msgspec.structs import replace

from downloadd.manager.dispatcher import Queue
from downloadd.manager.speed_share import SpeedLimit
from downloadd.runtime_settings import RuntimeSettings

HOLD_REASON: Final = "nothing starts until allow_starts of the settings is switched on"
"""Reason that waiting downloads show if a user does not let them start."""


class RunLimits:
    """The limits of the queue, and the speed limit over all downloads."""

    def __init__(self, queue: Queue, speed_limit: SpeedLimit) -> None:
        """Take the parts that apply the limits; `speed_limit` is that of all runs."""
        self._queue = queue
        self._speed_limit = speed_limit

    @property
    def settings(self) -> RuntimeSettings:
        """Return the limits that hold now."""
        limits = self._queue.limits
        return RuntimeSettings(
            max_concurrent=limits.max_concurrent,
            max_per_host=limits.max_per_host,
            speed_limit=self._speed_limit.limit,
            allow_starts=limits.hold_reason is None,
        )

    def change(self, settings: RuntimeSettings, *, source: str = "") -> None:
        """Apply new limits at once; running downloads continue, even if they are more than may start now.

        `source` says where the changed limits are from, for the reasons of waiting downloads; empty for a user.
        """
        before = self._queue.limits
        limits = replace(before, max_concurrent=settings.max_concurrent, max_per_host=settings.max_per_host)
        if limits.max_concurrent != before.max_concurrent:
            limits = replace(limits, max_concurrent_source=source)
        if settings.allow_starts != self.settings.allow_starts:
            reason = f"nothing starts by the limits of {source}" if source else HOLD_REASON
            limits = replace(limits, hold_reason=None if settings.allow_starts else reason, hold_source=source)
        if limits != before:
            self._queue.change_limits(limits)
        if settings.speed_limit != self._speed_limit.limit:
            self._speed_limit.limit = settings.speed_limit
