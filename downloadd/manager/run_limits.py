"""Limits on all runs together, which may be changed while downloads run."""

from msgspec.structs import replace

from downloadd.manager.dispatcher import Queue
from downloadd.manager.rate_limit import TokenBucket
from downloadd.runtime_settings import RuntimeSettings


class RunLimits:
    """The limits of the queue, and the speed limit over all downloads."""

    def __init__(self, queue: Queue, shared_limit: TokenBucket) -> None:
        """Take the parts that apply the limits; `shared_limit` is that of all runs."""
        self._queue = queue
        self._shared_limit = shared_limit

    @property
    def settings(self) -> RuntimeSettings:
        """Return the limits that hold now."""
        limits = self._queue.limits
        return RuntimeSettings(
            max_concurrent=limits.max_concurrent,
            max_per_host=limits.max_per_host,
            speed_limit=self._shared_limit.rate,
        )

    def change(self, settings: RuntimeSettings) -> None:
        """Apply new limits at once; running downloads continue, even if they are more than may start now."""
        limits = replace(self._queue.limits, max_concurrent=settings.max_concurrent, max_per_host=settings.max_per_host)
        if limits != self._queue.limits:
            self._queue.change_limits(limits)
        if settings.speed_limit != self._shared_limit.rate:
            self._shared_limit.rate = settings.speed_limit
