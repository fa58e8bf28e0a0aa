"""The dispatcher of several nodes: the records hold the queue and the slots, and each node claims what it runs."""

from collections.abc import Awaitable, Callable, Mapping

from downloadd.clock import Clock
from downloadd.manager.lease_gate import LeaseGate
from downloadd.manager.limits import Limits
from downloadd.manager.local_dispatcher import LocalOrigins, LocalQueue, SharedScheduler
from downloadd.manager.shared_queue import SharedQueue
from downloadd.manager.shared_slots import SharedHostSlots, SlotWriter
from downloadd.manager.waiting_count import WaitingCount
from downloadd.records.admission import AdmissionRecords
from downloadd.states import State


class SharedDispatcher:
    """`Dispatcher` of several nodes.

    Attributes:
        queue: the queue.
        slots: the slots of running downloads.
        origins: the health of the origins, as this node observes it and as others have recorded it.
    """

    def __init__(
        self,
        limits: Limits,
        clock: Clock,
        admission: AdmissionRecords,
        *,
        read_counts: Callable[[], Awaitable[Mapping[State, int]]],
        lease: LeaseGate,
    ) -> None:
        """Make a dispatcher.

        Args:
            limits: the limits.
            clock: the clock.
            admission: where slots are taken and downloads are claimed.
            read_counts: returns the number of downloads in each state.
            lease: holds claims back while this node has no lease.
        """
        shared = SharedScheduler(limits, clock)
        self._writer = SlotWriter(admission)
        waiting = WaitingCount(read_counts, clock)
        self.queue = SharedQueue(
            shared,
            LocalQueue(shared, lease),
            admission=admission,
            writer=self._writer,
            waiting=waiting,
            wait_for_lease=lease.wait_until_held,
        )
        self.slots = SharedHostSlots(shared, admission, self._writer)
        self.origins = LocalOrigins(shared)

    async def close(self) -> None:
        """Free the slots that are held."""
        await self._writer.close()
