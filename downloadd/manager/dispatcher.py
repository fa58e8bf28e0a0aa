"""The interface of the dispatcher, which decides when waiting downloads start.

In one process it is the scheduler and a loop around it; in a cluster it will be a queue engine.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Protocol

from downloadd.manager.limits import Limits
from downloadd.manager.origin_health import KnownFailure, OriginFailure, Verdict
from downloadd.manager.queue_report import OriginList
from downloadd.metrics import OriginUsage
from downloadd.records.origins import OriginRecord
from downloadd.records.protocol import WaitingDownload
from downloadd.records.queue_places import QueueEntry
from downloadd.states import WaitReason


class Dispatcher(Protocol):
    """Queue of waiting downloads that starts them within the limits."""

    @property
    def waiting(self) -> int:
        """Return the number of waiting downloads."""
        ...

    @property
    def limits(self) -> Limits:
        """Return the limits that hold now."""
        ...

    def enqueue(self, waiting: Sequence[WaitingDownload]) -> None:
        """Add downloads to the queue; one that waits already is moved."""
        ...

    def reorder(self, entries: Iterable[QueueEntry]) -> None:
        """Give waiting downloads other places; their times and targets stay, and others are ignored."""
        ...

    def dequeue(self, seq: int) -> None:
        """Remove a download from the queue."""
        ...

    def free_slots(self, seq: int) -> None:
        """Free the slots of a run that needs its origins no longer; it counts towards the total until its end."""
        ...

    def holds_slots(self, seq: int, origin: str) -> bool:
        """Return True if a running download has its slot of `origin` still, so that its next run may use it."""
        ...

    def finish(self, seq: int) -> None:
        """Let a run that has ended count no longer, and free its slot."""
        ...

    def acquire(self, origin: str, count: int) -> int:
        """Take up to `count` free slots of an origin for connections of a running download; return their number."""
        ...

    def release(self, origin: str, slots: int) -> None:
        """Free acquired slots."""
        ...

    def enter(self, seq: int, source: str, origin: str) -> bool:
        """Take a slot of the origin that redirects of `source` lead a running download to; return False without one.

        The slot is free again when the run ends, or is led elsewhere.
        """
        ...

    def leave(self, seq: int) -> None:
        """Free the slot of a running download at the target of redirects, if it has one."""
        ...

    def expected_target(self, seq: int) -> str | None:
        """Return the origin that redirects are expected to lead a running download to; None if that is not known."""
        ...

    def report_answer(self, origin: str, seq: int, *, is_redirect: bool = False) -> bool:
        """Record that an origin has answered a request of a download; return True if it closed the circuit.

        With `is_redirect`, another origin sends the content.
        """
        ...

    def report_failure(self, origin: str, failure: OriginFailure) -> Verdict:
        """Record a failed attempt; return the consequence for its download."""
        ...

    def known_failure(self, origin: str) -> KnownFailure | None:
        """Return the failure of an attempt that would fail as the last one; None with a closed circuit."""
        ...

    def hasten_probe(self, origin: str) -> None:
        """Let the next probe of an open circuit start soon."""
        ...

    def is_awaited(self, origin: str) -> bool:
        """Return True if the circuit of an origin is open, and the origin has answered before."""
        ...

    def origin_record(self, origin: str) -> OriginRecord | None:
        """Return what must outlive the process of an origin's health; None if there is nothing."""
        ...

    def restore_origin(self, record: OriginRecord) -> None:
        """Set the health of an origin to what was recorded."""
        ...

    def set_suspension(self, reason: str | None) -> None:
        """Suspend all starts for a `reason`, in words, that waiting downloads show; None ends the suspension."""
        ...

    def describe_wait(self, origin: str, not_before: float | None, *, seq: int | None = None) -> str:
        """Return the reason, in words, why a waiting download of `origin` has not started.

        `seq` is its number, by which the queue knows the target of its redirects.
        """
        ...

    def wait_reasons(self) -> Mapping[WaitReason, int]:
        """Return the number of waiting downloads per reason; reasons without downloads may be left out."""
        ...

    def origin_usage(self) -> OriginUsage:
        """Return the use of all origins together."""
        ...

    def origins(self, limit: int) -> OriginList:
        """Return up to `limit` origins that are in use or not healthy, the ones in trouble first."""
        ...

    def change_limits(self, limits: Limits) -> None:
        """Set new limits; running downloads continue."""
        ...

    async def dispatch(self, start: Callable[[Sequence[int]], Awaitable[None]]) -> None:
        """Start downloads, by their `seq`, within the limits until cancelled."""
        ...
