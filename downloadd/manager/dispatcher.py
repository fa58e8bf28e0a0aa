"""The interface of the dispatcher, which decides when waiting downloads start.

In one process it is the scheduler and a loop around it; for several nodes, claims in shared records decide.
What only shared records know is asynchronous: the number of waiting downloads, their reasons, slots, and the claim.
What changes the queue is a hint about records that are durable already, and what frees a slot needs no answer: neither
waits.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

from downloadd.download import Download
from downloadd.manager.limits import Limits
from downloadd.manager.origin_health import KnownFailure, OriginFailure, Verdict
from downloadd.manager.queue_report import OriginList
from downloadd.manager.user_slots import UserHold
from downloadd.metrics import OriginUsage
from downloadd.records.origins import OriginRecord
from downloadd.records.protocol import WaitingDownload
from downloadd.records.queue_places import QueueEntry
from downloadd.states import WaitNotice, WaitReason
from downloadd.transfer.connection_slots import ConnectionSlots

StartClaimed = Callable[[Sequence[Download]], None]
"""Starts the runs of claimed downloads."""


class Queue(Protocol):
    """Queue of waiting downloads that starts them within the limits."""

    @property
    def limits(self) -> Limits:
        """Return the limits that hold now."""
        ...

    def change_limits(self, limits: Limits) -> None:
        """Set new limits; running downloads continue."""
        ...

    def hold_users(self, held: Mapping[str, UserHold]) -> None:
        """Let nothing of these users start in this process, and of others again; running downloads continue."""
        ...

    def count_running(self, user: str) -> int:
        """Return the number of running downloads of a user, on all nodes if the user has a limit."""
        ...

    def set_suspension(self, reason: str | None) -> None:
        """Suspend all starts in this process for a `reason`, in words, that waiting downloads show; None ends it."""
        ...

    def enqueue(self, waiting: Sequence[WaitingDownload]) -> None:
        """Add downloads to the queue; one that waits already is moved, and one that runs joins at its end."""
        ...

    def hold(self, waiting: WaitingDownload) -> None:
        """Let a waiting download not start in this process before `waiting.not_before`, which the records do not have.

        It is added as `enqueue` does; the next `enqueue` of it ends this.
        """
        ...

    def reorder(self, entries: Iterable[QueueEntry]) -> None:
        """Give waiting downloads other places; their times and targets stay, and others are ignored."""
        ...

    def dequeue(self, seq: int) -> None:
        """Remove a download from the queue; an unknown one is ignored."""
        ...

    def holds_slots(self, seq: int, origin: str) -> bool:
        """Return True if a running download has its slot of `origin` still, so that its next run may use it."""
        ...

    def finish(self, seq: int) -> None:
        """Let a run that has ended count no longer, and free its slots; an unknown one is ignored."""
        ...

    async def claim_again(self, seq: int) -> Sequence[Download]:
        """Claim a download whose run has ended and whose slots it holds still, before `finish`.

        Returns its row, or none if it cannot be claimed; its slots are free then.
        """
        ...

    async def dispatch(self, start: StartClaimed) -> None:
        """Claim waiting downloads within the limits and start them, until cancelled.

        `start` gets the rows as the claim has recorded them, which is durable. Those that cannot be claimed, because
        they do not wait any more or a user wants them stopped, are left out.
        """
        ...

    async def count_waiting(self) -> int:
        """Return the number of waiting downloads."""
        ...

    async def explain_waits(self, rows: Sequence[Download]) -> Sequence[WaitNotice]:
        """Return for each of the waiting downloads the reason why it has not started."""
        ...

    async def wait_reasons(self) -> Mapping[WaitReason, int]:
        """Return the number of waiting downloads per reason; reasons without downloads may be left out."""
        ...


class HostSlots(ConnectionSlots, Protocol):
    """Slots of origins for running downloads; each has one of its own from its start."""

    def free(self, seq: int) -> None:
        """Free the slots of a run that needs its origins no longer; it counts towards the total until its end."""
        ...


class Origins(Protocol):
    """Health and use of the origins; the health is that which this process observes."""

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

    def expected_target(self, seq: int) -> str | None:
        """Return the origin that redirects are expected to lead a running download to; None if that is not known."""
        ...

    def hasten_probe(self, origin: str) -> None:
        """Let the next probe of an open circuit start soon."""
        ...

    def is_awaited(self, origin: str) -> bool:
        """Return True if the circuit of an origin is open, and the origin has answered before."""
        ...

    def record(self, origin: str) -> OriginRecord | None:
        """Return what must outlive the process of an origin's health; None if there is nothing."""
        ...

    def restore(self, record: OriginRecord) -> None:
        """Set the health of an origin to what was recorded."""
        ...

    async def usage(self) -> OriginUsage:
        """Return the use of all origins together."""
        ...

    async def listing(self, limit: int) -> OriginList:
        """Return up to `limit` origins that are in use or not healthy, the ones in trouble first."""
        ...


class Dispatcher(Protocol):
    """The parts of a dispatcher, which share its state."""

    @property
    def queue(self) -> Queue:
        """Return the queue of waiting downloads."""
        ...

    @property
    def slots(self) -> HostSlots:
        """Return the slots of running downloads."""
        ...

    @property
    def origins(self) -> Origins:
        """Return the health and the use of the origins."""
        ...

    async def close(self) -> None:
        """Free what is held in shared records, after all runs have ended."""
        ...
