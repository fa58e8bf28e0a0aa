"""The interface of the dispatcher, which decides when waiting downloads start.

In one process it is the scheduler and a loop around it; in a cluster it will be a queue engine.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

from downloadd.manager.scheduler import Limits
from downloadd.metrics import OriginUsage
from downloadd.records.protocol import WaitingDownload
from downloadd.states import WaitReason


class Dispatcher(Protocol):
    """Queue of waiting downloads that starts them within the limits."""

    @property
    def waiting(self) -> int:
        """Return the number of waiting downloads."""
        ...

    def enqueue(self, waiting: Sequence[WaitingDownload]) -> None:
        """Add downloads to the queue; one that waits already is moved."""
        ...

    def dequeue(self, seq: int) -> None:
        """Remove a download from the queue."""
        ...

    def finish(self, seq: int) -> None:
        """Free the slot of a run that has ended."""
        ...

    def acquire(self, host: str, count: int) -> int:
        """Take up to `count` free slots of a host for further connections of a running download; return the number."""
        ...

    def release(self, host: str, slots: int) -> None:
        """Free acquired slots."""
        ...

    def block(self, host: str, until: float) -> None:
        """Start nothing from `host` before `until` (Unix time)."""
        ...

    def set_suspension(self, reason: str | None) -> None:
        """Suspend all starts for a `reason`, in words, that waiting downloads show; None ends the suspension."""
        ...

    def describe_wait(self, host: str, not_before: float | None) -> str:
        """Return the reason, in words, why a waiting download of `host` has not started."""
        ...

    def wait_reasons(self) -> Mapping[WaitReason, int]:
        """Return the number of waiting downloads per reason; reasons without downloads may be left out."""
        ...

    def origins(self) -> OriginUsage:
        """Return the use of slots per host."""
        ...

    def change_limits(self, limits: Limits) -> None:
        """Set new limits; running downloads continue."""
        ...

    async def dispatch(self, start: Callable[[Sequence[int]], Awaitable[None]]) -> None:
        """Start downloads, by their `seq`, within the limits until cancelled."""
        ...
