"""Admission of two nodes to the slots of origins, in one database."""

import asyncio

from support.downloads import with_fields
from support.node_reports import node_report
from support.stored_downloads import added, present, sample_download

from downloadd.download import Desired
from downloadd.records.admission import FIRST_ROUTE, BacklogRequest, ClaimRequest, DelayedCount, SlotHolding
from downloadd.records.postgres.records import PostgresRecords
from downloadd.records.protocol import WaitingDownload
from downloadd.states import State

Stores = tuple[PostgresRecords, PostgresRecords]
A, B, CDN = "https://a.example", "https://b.example", "https://cdn.example.net"


async def register(stores: Stores) -> None:
    first, second = stores
    await first.nodes.register(node_report(), is_start=True)
    await second.nodes.register(node_report(name="beta", session="session-2", instance="instance-2"), is_start=True)


async def read(records: PostgresRecords, **changes: object) -> list[int]:
    """Return the downloads that may start, in the order of the window."""
    request = BacklogRequest(**{"max_routes": 10, "per_route": 10, **changes})  # type: ignore[arg-type]
    return [one.seq for one in (await records.admission.read_backlog(request)).ready]


async def test_the_window_has_the_next_downloads_of_each_route(stores: Stores) -> None:
    records, _ = stores
    rows = await added(
        records,
        sample_download(origin=A),
        sample_download(origin=B),
        sample_download(origin=A, priority=1),
        sample_download(origin=A, state=State.RETRYING),
        with_fields(sample_download(origin=A), place=0.5),
        sample_download(origin=A, state=State.PAUSED),
        sample_download(origin=A, desired=Desired.PAUSE),
        sample_download(origin=A, not_before=50.0),
        sample_download(origin=A, state=State.STARTING),
    )
    seqs = [row.seq for row in rows]
    assert await read(records) == [seqs[2], seqs[4], seqs[0], seqs[3], seqs[1]]
    assert await read(records, per_route=2, held=(seqs[4],)) == [seqs[2], seqs[0], seqs[1]]
    await records.admission.record_targets({seqs[0]: CDN, seqs[2]: CDN})
    backlog = await records.admission.read_backlog(BacklogRequest(max_routes=2, per_route=1))
    assert backlog.ready == [
        WaitingDownload(seq=seqs[4], origin=A, priority=0, place=0.5, user="ann"),
        WaitingDownload(seq=seqs[2], origin=A, priority=1, target=CDN, user="ann"),
    ]
    assert backlog.next_route == (A, CDN, "ann")
    assert await read(records, after=backlog.next_route) == [seqs[1]]
    assert (await records.admission.read_backlog(BacklogRequest(max_routes=9, per_route=1))).next_route == FIRST_ROUTE


async def test_routes_of_users_without_slots_are_passed(stores: Stores) -> None:
    records, _ = stores
    rows = await added(
        records,
        *(with_fields(sample_download(origin=f"https://{number}.example"), user="alice") for number in range(5)),
        with_fields(sample_download(origin="https://z.example"), user="bob"),
    )
    assert await read(records, max_routes=2) == [row.seq for row in rows[:2]]
    assert await read(records, max_routes=2, full_users=["alice"]) == [rows[5].seq]


async def test_the_routes_of_a_read_end_with_the_last_one_in_the_order_of_the_database(stores: Stores) -> None:
    records, _ = stores
    rows = await added(records, *(with_fields(sample_download(origin=A), user=user) for user in ("B", "a", "c")))
    collate = 'ALTER TABLE downloads ALTER COLUMN "user" TYPE text COLLATE "en-x-icu"'
    await records.write(lambda connection: connection.execute(collate))
    backlog = await records.admission.read_backlog(BacklogRequest(max_routes=2, per_route=1))
    assert [one.user for one in backlog.ready] == ["a", "B"]
    assert backlog.next_route == (A, "", "B")
    # Routes whose next downloads are held back do not end the turn.
    request = BacklogRequest(max_routes=2, per_route=1, held=[rows[1].seq])
    assert (await records.admission.read_backlog(request)).next_route != FIRST_ROUTE


async def test_downloads_that_wait_for_a_time_are_released_when_it_has_come(stores: Stores) -> None:
    records, _ = stores
    first, second, third = await added(
        records,
        sample_download(not_before=50.0),
        sample_download(not_before=60.0),
        sample_download().with_control(not_before=55.0),
    )
    assert await read(records) == []
    assert await records.admission.count_delayed() == DelayedCount(retries=2, scheduled=1)
    await records.admission.release_due(50.0)
    assert await read(records) == [first.seq]
    backlog = await records.admission.read_backlog(BacklogRequest(max_routes=9, per_route=9))
    assert backlog.next_due == 55.0
    await records.admission.release_due(56.0)
    assert await read(records) == [first.seq, third.seq]
    # A user gives it a later time.
    await records.amend(third.id, lambda row: row.with_control(not_before=70.0))
    assert await read(records) == [first.seq]
    assert (await present(records, second.id)).progress.not_before == 60.0


async def test_claims_of_two_nodes_at_the_same_time_keep_the_limits(stores: Stores) -> None:
    await register(stores)
    rows = await added(stores[0], *(sample_download(origin=A) for _ in range(6)))
    requests = [ClaimRequest(seq=row.seq, slots={A: 1, CDN: 1}) for row in rows]
    limits = {A: 5, CDN: 3}
    claims = await asyncio.gather(*(records.admission.claim(requests, limits, ()) for records in stores))
    assert sorted(map(len, claims)) == [0, 3]
    [holder] = [records for records, claimed in zip(stores, claims, strict=True) if claimed]
    [other] = [records for records in stores if records is not holder]
    used = (await other.admission.read_backlog(BacklogRequest(max_routes=9, per_route=9))).used
    assert used == {A: 3, CDN: 3}
    assert (await holder.admission.read_backlog(BacklogRequest(max_routes=9, per_route=9))).used == {}
    # What a run has freed counts in the same transaction.
    seq = next(row.seq for claimed in claims for row in claimed)
    freed = [SlotHolding(seq=seq, origin=A, number=0), SlotHolding(seq=seq, origin=CDN, number=0)]
    assert await other.admission.claim(requests[5:], limits, freed) == []
    [claimed] = await holder.admission.claim(requests[5:], limits, freed)
    assert (claimed.seq, claimed.state, claimed.epoch) == (rows[5].seq, State.STARTING, 1)


async def test_a_download_that_keeps_its_slot_is_claimed_again_at_the_limit(stores: Stores) -> None:
    await register(stores)
    records, _ = stores
    (row,) = await added(records, sample_download(origin=A))
    request = ClaimRequest(seq=row.seq, slots={A: 1})
    [claimed] = await records.admission.claim([request], {A: 1}, ())
    assert await records.admission.claim([request], {A: 1}, ()) == []
    assert await records.save(with_fields(claimed, state=State.QUEUED)) is not None
    [again] = await records.admission.claim([request], {A: 1}, ())
    assert again.epoch == 2


async def test_slots_are_acquired_up_to_the_limit_and_lowered(stores: Stores) -> None:
    await register(stores)
    first, second = (records.admission for records in stores)

    def wanted(seq: int, number: int) -> SlotHolding:
        return SlotHolding(seq=seq, origin=CDN, number=number)

    assert await first.acquire(wanted(1, 2), 3, ()) == 2
    assert await second.acquire(wanted(2, 5), 3, ()) == 1
    assert await first.acquire(wanted(1, 4), 3, ()) == 2
    # Only the own slots can be freed, and no number is raised so.
    await second.free([wanted(1, 0), wanted(2, 3)])
    assert await first.acquire(wanted(3, 1), 3, ()) == 0
    assert await first.acquire(wanted(3, 2), 3, [wanted(1, 1)]) == 1


async def test_the_slots_of_gone_nodes_are_free(stores: Stores) -> None:
    await register(stores)
    first, second = stores
    await first.admission.acquire(SlotHolding(seq=1, origin=A, number=2), 2, ())
    await second.admission.free_abandoned()
    assert await second.admission.acquire(SlotHolding(seq=2, origin=A, number=1), 2, ()) == 0
    await first.execute("UPDATE nodes SET last_seen = last_seen - interval '1 h' WHERE name = 'alpha'")
    await second.admission.free_abandoned()
    assert await second.admission.acquire(SlotHolding(seq=2, origin=A, number=1), 2, ()) == 1
    # A successor and one that leaves free them at once.
    await first.admission.acquire(SlotHolding(seq=1, origin=B, number=1), 2, ())
    await first.nodes.register(node_report(session="session-3"), is_start=True)
    await second.nodes.leave(node_report(name="beta", session="session-2"))
    assert await first.read(lambda connection: connection.fetchval("SELECT count(*) FROM slots")) == 0
