"""Dispatchers of a single process without records, and the reasons of their queues."""

from collections.abc import Sequence

from support.sample_downloads import sample_download

from downloadd.clock import Clock
from downloadd.download import Download
from downloadd.manager.dispatcher import Dispatcher, Queue
from downloadd.manager.limits import Limits
from downloadd.manager.local_dispatcher import LocalDispatcher
from downloadd.states import State


class ClaimAll:
    """Records in which every download can be claimed."""

    async def claim(self, seqs: Sequence[int]) -> list[Download]:
        return [sample_download(seq, seq=seq, state=State.STARTING, epoch=1) for seq in seqs]


def make_dispatcher(limits: Limits, clock: Clock) -> LocalDispatcher:
    """Return a dispatcher that can claim every download."""
    return LocalDispatcher(limits, clock, ClaimAll())


async def describe_wait(queue: Queue, origin: str, not_before: float | None = None, *, seq: int = 0) -> str:
    """Return the reason why a waiting download of an origin has not started."""
    [notice] = await queue.explain_waits([sample_download(seq=seq, origin=origin, not_before=not_before)])
    return notice.text


async def has_no_origins(dispatcher: Dispatcher) -> bool:
    """Return True if no origin is in use or not healthy."""
    return (await dispatcher.origins.listing(9)).total == 0
