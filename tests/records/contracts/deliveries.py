"""Contract of `DeliveryRecords`: deliveries are recorded together with the end of a download."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest
from msgspec.structs import replace
from support.clocks import NOW, ManualClock
from support.downloads import with_fields
from support.stored_downloads import added, claimed, sample_download
from support.stores import OpenStore
from support.waiting import CONDITION_TIMEOUT

from downloadd.delivery import Delivery
from downloadd.download import Download
from downloadd.errors import ErrorCode, InvalidStateError
from downloadd.manager import lifecycle
from downloadd.records.store import Store
from downloadd.states import State


def make_deliveries(download: Download) -> Sequence[Delivery]:
    """Return the deliveries to two hooks for every end."""
    event_id = f"{download.id}.{download.result.ended_seq}"
    assert download.seq
    return [
        Delivery(event_id=event_id, hook=hook, download_id=download.id, body=b"{}", created=NOW, due=NOW)
        for hook in ("one", "two")
    ]


LEASE = 3_600.0


async def take(
    records: Store, hook: str = "one", *, now: float = NOW, limit: int = 100, lease: float = LEASE
) -> list[Delivery]:
    """Take the deliveries that are due, which a retry schedules for a day later at most."""
    return await records.deliveries.take(hook, now=now, latest=now + 86_400, limit=limit, lease=lease)


async def cancelled(records: Store, count: int) -> list[str]:
    """Add downloads that are cancelled, and return their ids."""
    rows = await added(records, *(sample_download() for _ in range(count)))
    for row in rows:
        await records.amend(row.id, lambda row: lifecycle.cancel(row, now=NOW))
    return [row.id for row in rows]


class DeliveryContract:
    """Promises of every implementation of `DeliveryRecords`."""

    @pytest.fixture
    async def records(self, open_store: OpenStore) -> AsyncIterator[Store]:
        """Return an empty store that makes deliveries to two hooks at every end."""
        async with open_store(make_deliveries) as opened:
            yield opened

    async def test_an_unfinished_download_has_no_delivery(self, records: Store) -> None:
        download = await claimed(records, sample_download())
        await records.save(with_fields(download, received=5))
        await records.amend(download.id, lambda row: with_fields(row, priority=5))
        assert await records.deliveries.waiting() == {}

    async def test_each_kind_of_end_has_one_delivery_for_each_hook(self, records: Store) -> None:
        failed = with_fields(sample_download(), state=State.FAILED, error=ErrorCode.INVALID_URL, end_time=int(NOW))
        (refused,) = await added(records, failed)
        (cancelled,) = await added(records, sample_download())
        await records.amend(cancelled.id, lambda row: lifecycle.cancel(row, now=NOW))
        # What is changed after its end has not ended again.
        await records.amend(cancelled.id, lambda row: with_fields(row, detail="x"))
        held = await claimed(records, sample_download())
        assert await records.save(with_fields(held, state=State.FAILED, error=ErrorCode.NETWORK_ERROR)) is not None
        # A run that no longer holds its download changes nothing.
        assert await records.save(with_fields(held, state=State.FAILED, error=ErrorCode.NETWORK_ERROR)) is None
        found = await take(records)
        assert [each.download_id for each in found] == [refused.id, cancelled.id, held.id]
        assert len({each.event_id for each in found}) == 3
        assert await records.deliveries.waiting() == {"one": 3, "two": 3}

    async def test_a_retried_download_has_another_delivery_with_another_id(self, records: Store) -> None:
        (download,) = await added(records, sample_download())
        for _ in range(2):
            await records.amend(download.id, lambda row: lifecycle.cancel(row, now=NOW))
            await records.amend(download.id, lambda row: lifecycle.retry(row, now=NOW))
        first, second = await take(records)
        assert first.download_id == second.download_id
        assert first.event_id != second.event_id

    async def test_a_repeated_operation_adds_its_deliveries_once(self, records: Store) -> None:
        (download,) = await added(records, sample_download())

        def broken(row: Download) -> Download:
            return replace(row, filename=None)

        outcomes = await asyncio.gather(
            records.amend(download.id, lambda row: lifecycle.cancel(row, now=NOW)),
            records.amend(download.id, broken),
            records.amend(download.id, lambda row: lifecycle.cancel(row, now=NOW)),
            return_exceptions=True,
        )
        assert isinstance(outcomes[2], InvalidStateError)
        assert len(await take(records)) == 1

    async def test_deliveries_are_taken_once_in_the_order_of_their_times(self, records: Store) -> None:
        ids = await cancelled(records, 4)
        first = await take(records, limit=2)
        assert [each.download_id for each in first] == ids[:2]
        assert [each.download_id for each in await take(records)] == ids[2:]
        assert await take(records) == []
        # Those of another hook are others.
        assert len(await take(records, "two")) == 4
        assert await records.deliveries.waiting() == {"one": 4, "two": 4}
        await records.deliveries.remove(first[0].number)
        assert await records.deliveries.waiting() == {"one": 3, "two": 4}

    async def test_of_many_takers_at_once_one_gets_a_delivery(self, records: Store) -> None:
        ids = await cancelled(records, 3)
        taken = await asyncio.gather(*(take(records, limit=1) for _ in range(8)))
        assert sorted(each.download_id for page in taken for each in page) == sorted(ids)

    async def test_a_delivery_whose_taker_died_is_due_again_after_its_lease(
        self, records: Store, clock: ManualClock
    ) -> None:
        await cancelled(records, 1)
        (lost,) = await take(records, lease=0.05)
        due = await records.deliveries.next_due("one", now=0.0)
        assert due is not None

        async def taken_again() -> list[Delivery]:
            # A store measures leases by the clock of the test or by that of its database.
            clock.now += 0.01
            return await take(records)

        async with asyncio.timeout(CONDITION_TIMEOUT):
            while not (again := await taken_again()):
                await asyncio.sleep(0.01)
        assert [each.number for each in again] == [lost.number]
        # The first taker lives and is late: the second one holds the delivery.
        await records.deliveries.reschedule(lost, tries=9, due=NOW)
        assert await take(records) == []
        await records.deliveries.reschedule(again[0], tries=1, due=NOW)
        assert [each.tries for each in await take(records)] == [1]

    async def test_a_lease_that_is_extended_lasts_longer(self, records: Store, clock: ManualClock) -> None:
        await cancelled(records, 1)
        (taken,) = await take(records, lease=0.05)
        extended = await records.deliveries.extend(taken, lease=LEASE)
        assert extended.taken_until is not None
        assert taken.taken_until is not None
        assert extended.taken_until > taken.taken_until + LEASE / 2
        # An extension with an earlier lease comes from a taker that has lost the delivery.
        assert await records.deliveries.extend(taken, lease=9 * LEASE) == taken
        clock.now += 1
        await asyncio.sleep(0.06)
        assert await take(records) == []
        await records.deliveries.reschedule(extended, tries=1, due=NOW)
        assert [each.tries for each in await take(records)] == [1]

    async def test_the_next_start_releases_what_an_earlier_process_has_taken(self, open_store: OpenStore) -> None:
        async with open_store(make_deliveries) as records:
            await cancelled(records, 1)
            (taken,) = await take(records)
            assert len(await take(records, "two")) == 1
        async with open_store(make_deliveries) as records:
            assert await take(records) == []
            await records.deliveries.release(["one"])
            assert [each.number for each in await take(records)] == [taken.number]
            assert await take(records, "two") == []

    async def test_a_rescheduled_delivery_is_due_at_its_time_or_when_all_are_made_due(self, records: Store) -> None:
        await cancelled(records, 3)
        first, second, third = await take(records)
        await records.deliveries.reschedule(first, tries=1, due=NOW + 50)
        await records.deliveries.reschedule(second, tries=4, due=NOW + 20)
        await records.deliveries.remove(third.number)
        assert await take(records) == []
        assert await records.deliveries.next_due("one", now=NOW) == NOW + 20
        assert [(each.number, each.tries) for each in await take(records, now=NOW + 30)] == [(second.number, 4)]
        await records.deliveries.release(["one"])
        assert [each.number for each in await take(records, now=NOW + 60)] == [second.number, first.number]
        await records.deliveries.release(["one"])
        await records.deliveries.make_due(["two"], now=NOW)
        assert await take(records) == []
        await records.deliveries.make_due(["one"], now=NOW)
        assert {each.number for each in await take(records)} == {first.number, second.number}
        assert await records.deliveries.waiting() == {"one": 2, "two": 3}

    async def test_a_delivery_that_was_scheduled_before_the_clock_was_set_back_is_due(self, records: Store) -> None:
        await cancelled(records, 1)
        (delivery,) = await take(records)
        await records.deliveries.reschedule(delivery, tries=1, due=NOW + 50)
        assert len(await take(records, now=NOW - 7 * 86_400)) == 1

    async def test_deliveries_of_other_hooks_are_removed_on_request(self, records: Store) -> None:
        await cancelled(records, 2)
        assert await records.deliveries.remove_others(["one", "three"]) == 2
        assert await records.deliveries.waiting() == {"one": 2}
        assert await records.deliveries.remove_others(["one"]) == 0
        assert await records.deliveries.next_due("one", now=NOW) is None
        assert len(await take(records)) == 2
