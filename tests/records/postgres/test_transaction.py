"""Ends become visible in the order of their numbers, whichever store writes them."""

import asyncio
import random
from collections.abc import Mapping, Sequence

import asyncpg
import pytest
from msgspec.structs import replace
from support.stored_downloads import added, claimed, ids, sample_download

from downloadd.download import Download
from downloadd.records.postgres import writer
from downloadd.records.postgres.download_changes import SaveItem
from downloadd.records.postgres.operations import Outcome, UnnumberedEnds
from downloadd.records.postgres.records import PostgresRecords
from downloadd.records.protocol import HistoryFilter
from downloadd.states import State

STORES = 2
DOWNLOADS = 60


async def test_a_follower_of_the_history_misses_no_end_of_several_writers(
    stores: tuple[PostgresRecords, PostgresRecords],
) -> None:
    seen: list[str] = []
    first, second = stores
    rows = await added(first, *(sample_download() for _ in range(DOWNLOADS)))
    held = await first.claim([row.seq for row in rows])
    random.Random(3).shuffle(held)

    async def end(store: PostgresRecords, number: int) -> None:
        for download in held[number::8]:
            assert await store.save(replace(download, state=State.COMPLETED)) is not None
            await store.accept([sample_download(state=State.FAILED)])

    async def follow() -> None:
        last = 0
        while len(seen) < 2 * DOWNLOADS:
            page = await second.history(HistoryFilter(after_ended_seq=last, limit=7))
            seen.extend(ids(page))
            if page:
                assert page[-1].result.ended_seq == len(seen)
                last = len(seen)
            await asyncio.sleep(0)

    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        group.create_task(follow())
        for number in range(8):
            group.create_task(end(stores[number % STORES], number))
    everything = await first.history(HistoryFilter(after_ended_seq=0, limit=1000))
    assert seen == ids(everything)


async def test_an_end_waits_for_the_commit_of_an_end_with_a_smaller_number(
    stores: tuple[PostgresRecords, PostgresRecords],
) -> None:
    first, second = stores
    slow, fast = await claimed(first, sample_download()), await claimed(first, sample_download())
    is_numbered, go_on = asyncio.Event(), asyncio.Event()

    async def end_all(connection: asyncpg.Connection, items: Sequence[SaveItem]) -> Sequence[Outcome]:
        (outcome,) = await first._changes.save(connection, items)

        async def finish(connection: asyncpg.Connection, numbers: Mapping[int, int]) -> Outcome:
            is_numbered.set()
            await go_on.wait()
            return await outcome.finish(connection, numbers)

        return [UnnumberedEnds(seqs=outcome.seqs, finish=finish)]

    async with asyncio.TaskGroup() as group:
        group.create_task(
            first._writer.submit(end_all, SaveItem(downloads=[replace(slow, state=State.COMPLETED)], process="p"))
        )
        await is_numbered.wait()
        later = group.create_task(second.save(replace(fast, state=State.COMPLETED)))
        await asyncio.sleep(0.05)
        assert not later.done()
        assert await second.history(HistoryFilter()) == []
        go_on.set()
    assert ids(await second.history(HistoryFilter(after_ended_seq=0))) == [slow.id, fast.id]


async def test_several_writers_of_the_same_downloads_do_not_block_each_other(
    stores: tuple[PostgresRecords, PostgresRecords], monkeypatch: pytest.MonkeyPatch
) -> None:
    # A deadlock is not repeated, but fails.
    monkeypatch.setattr(writer, "_MAX_CONFLICTS", 0)
    first, second = stores
    for store in stores:
        store._writer._patience = 0.0
    rows = await added(first, *(sample_download() for _ in range(20)))

    def one_more(row: Download) -> Download:
        return row.with_control(priority=row.control.priority + 1)

    async def amend(store: PostgresRecords, order: list[int]) -> None:
        await asyncio.gather(*(store.amend(rows[number].id, one_more) for number in order))

    forward, backward = list(range(20)), list(range(19, -1, -1))
    await asyncio.gather(*(amend(store, order) for store in (first, second) for order in (forward, backward)))
    found = [await first.get(row.id) for row in rows]
    assert [row.control.priority for row in found if row is not None] == [4] * 20


async def test_one_of_the_stores_that_claim_a_download_gets_it(stores: tuple[PostgresRecords, PostgresRecords]) -> None:
    first, second = stores
    rows = await added(first, *(sample_download() for _ in range(10)))
    seqs = [row.seq for row in rows]
    results = await asyncio.gather(first.claim(seqs), second.claim(seqs[::-1]), first.claim(seqs[5:]))
    assert sorted(row.seq for result in results for row in result) == seqs
