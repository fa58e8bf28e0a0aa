"""Revision of the lists over nodes."""

from collections.abc import Sequence

from support.clocks import ManualClock
from support.sample_downloads import sample_download
from support.waiting import wait_until

from downloadd.records.hints import Topic
from downloadd.records.postgres.records import PostgresRecords


async def test_the_change_of_another_node_raises_the_revision(stores: tuple[PostgresRecords, PostgresRecords]) -> None:
    first, second = stores
    connected: list[Sequence[str]] = []
    second.hints.subscribe(Topic.QUEUE, connected.append)
    await wait_until(lambda: connected)
    before = await second.queue.revision()
    await first.accept([sample_download()])
    await wait_until(lambda: len(connected) == 2)
    assert await second.queue.revision() > before
    assert sum((await second.counts()).values()) == 1


async def test_the_revision_grows_with_time_in_case_a_hint_is_lost(
    stores: tuple[PostgresRecords, PostgresRecords], clock: ManualClock
) -> None:
    before = await stores[1].queue.revision()
    clock.now += 1
    assert await stores[1].queue.revision() > before
