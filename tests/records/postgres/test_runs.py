"""Which node holds a download in one database."""

from support.downloads import with_fields
from support.node_reports import node_report
from support.stored_downloads import added, claimed, sample_download

from downloadd.records.postgres.records import PostgresRecords
from downloadd.states import State

Stores = tuple[PostgresRecords, PostgresRecords]


async def register(stores: Stores) -> None:
    """Register the nodes alpha and beta, on machines of their own."""
    first, second = stores
    await first.nodes.register(node_report(), is_start=True)
    beta = node_report(name="beta", session="session-2", instance="instance-2", boot="boot-2")
    await second.nodes.register(beta, is_start=True)


async def age(records: PostgresRecords, name: str, seconds: float = 16) -> None:
    """Let the last heartbeat of a node be older than its lease."""
    sql = "UPDATE nodes SET last_seen = last_seen - $2 * interval '1 s' WHERE name = $1"
    assert await records.execute(sql, name, seconds) == 1


async def abandoned(records: PostgresRecords) -> list[str]:
    return [row.id async for row in records.running_rows()]


async def test_a_running_download_names_the_node_that_claimed_it(stores: Stores) -> None:
    await register(stores)
    first, second = stores
    waiting, ended = await added(first, sample_download(), sample_download(state=State.COMPLETED))
    mine, other = await claimed(first, sample_download()), await claimed(second, sample_download())
    for records in stores:
        assert await records.runs.nodes([waiting.id, ended.id, mine.id, other.id, "none"]) == {
            mine.id: "alpha",
            other.id: "beta",
        }
    assert [(run.id, run.seq, run.epoch) for run in await first.runs.held()] == [(mine.id, mine.seq, 1)]
    assert await first.save(with_fields(mine, state=State.QUEUED)) is not None
    assert await second.runs.nodes([mine.id]) == {}
    assert await first.runs.held() == []


async def test_only_the_runs_of_gone_nodes_are_abandoned(stores: Stores) -> None:
    await register(stores)
    first, second = stores
    mine, other = await claimed(first, sample_download()), await claimed(second, sample_download())
    assert await abandoned(first) == []
    await age(first, "beta")
    assert await abandoned(first) == [other.id]
    # It goes on, because no other node has taken over yet.
    await second.nodes.beat(node_report(name="beta", session="session-2"))
    assert await abandoned(first) == []
    await first.nodes.leave(node_report())
    assert await abandoned(second) == [mine.id]


async def test_a_part_file_of_a_process_that_may_live_is_taken_over(stores: Stores) -> None:
    await register(stores)
    first, second = stores
    row = await claimed(first, sample_download())
    assert await first.save(with_fields(row, part_name="p", received=7)) is not None
    assert not first.runs.pop_takeover(row.seq)
    # Another node puts it back, and claims it.
    await second.amend(row.id, lambda row: with_fields(row, state=State.QUEUED, epoch=5))
    [taken] = await second.claim([row.seq])
    assert (taken.epoch, taken.progress.received_ranges) == (6, "0-7")
    assert second.runs.pop_takeover(row.seq)
    assert not second.runs.pop_takeover(row.seq)
    # It ends by itself, and closes the file.
    assert await second.save(with_fields(taken, state=State.QUEUED)) is not None
    await first.claim([row.seq])
    assert not first.runs.pop_takeover(row.seq)


async def test_the_successor_of_a_killed_process_continues_its_part_files(stores: Stores, database: str) -> None:
    await register(stores)
    first, _ = stores
    row = await claimed(first, sample_download())
    assert await first.save(with_fields(row, part_name="p", received=7)) is not None
    await first.nodes.register(node_report(session="session-3"), is_start=True)
    assert await abandoned(first) == [row.id]
    await first.amend(row.id, lambda row: with_fields(row, state=State.QUEUED))
    [again] = await first.claim([row.seq])
    # The bytes after the last checkpoint are those of this boot.
    assert (first.runs.pop_takeover(row.seq), again.progress.received_ranges) == (False, None)
    await first.nodes.register(node_report(session="session-4", boot="boot-9"), is_start=True)
    await first.amend(row.id, lambda row: with_fields(row, state=State.QUEUED))
    [again] = await first.claim([row.seq])
    assert again.progress.received_ranges == "0-7"
