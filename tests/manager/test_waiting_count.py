"""Number of the waiting downloads of all nodes."""

from support.clocks import ManualClock

from downloadd.manager.waiting_count import COUNT_SECONDS, WaitingCount
from downloadd.states import State


async def test_it_is_counted_seldom_and_corrected_by_what_this_node_does() -> None:
    clock, stored = ManualClock(), {State.QUEUED: 3, State.RETRYING: 1, State.PAUSED: 9}
    reads = []

    async def read_counts() -> dict[State, int]:
        reads.append(dict(stored))
        return stored

    count = WaitingCount(read_counts, clock)
    assert await count.get() == 4
    count.add(2)
    count.add(-1)
    assert await count.get() == 5
    assert len(reads) == 1
    clock.now += COUNT_SECONDS
    stored[State.QUEUED] = 7
    assert await count.get() == 8
    count.add(-20)
    assert await count.get() == 0
