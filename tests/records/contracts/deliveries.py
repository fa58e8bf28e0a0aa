"""Contract of `DeliveryRecords`: deliveries are recorded together with the end of a download."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest
from msgspec.structs import replace
from support.clocks import NOW
from support.downloads import with_fields
from support.stored_downloads import added, claimed, sample_download
from support.stores import OpenStore

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


async def due(records: Store, hook: str = "one", now: float = NOW, limit: int = 100) -> list[Delivery]:
    return await records.deliveries.due(hook, now=now, latest=now + 86_400, limit=limit)


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
        found = await due(records)
        assert [each.download_id for each in found] == [refused.id, cancelled.id, held.id]
        assert len({each.event_id for each in found}) == 3
        assert await records.deliveries.waiting() == {"one": 3, "two": 3}

    async def test_a_retried_download_has_another_delivery_with_another_id(self, records: Store) -> None:
        (download,) = await added(records, sample_download())
        for _ in range(2):
            await records.amend(download.id, lambda row: lifecycle.cancel(row, now=NOW))
            await records.amend(download.id, lambda row: lifecycle.retry(row, now=NOW))
        first, second = await due(records)
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
        assert len(await due(records)) == 1

    async def test_a_rescheduled_delivery_is_due_at_its_time_or_after_a_reset(self, records: Store) -> None:
        for _ in range(3):
            (download,) = await added(records, sample_download())
            await records.amend(download.id, lambda row: lifecycle.cancel(row, now=NOW))
        first, second, third = await due(records)
        await records.deliveries.reschedule(first.number, tries=1, due=NOW + 50)
        await records.deliveries.reschedule(second.number, tries=4, due=NOW + 20)
        await records.deliveries.remove(third.number)
        assert await due(records) == []
        assert await records.deliveries.next_due("one", now=NOW) == NOW + 20
        assert await due(records, now=NOW + 30) == [replace(second, tries=4, due=NOW + 20)]
        assert [each.number for each in await due(records, now=NOW + 60)] == [second.number, first.number]
        assert [each.number for each in await due(records, now=NOW + 60, limit=1)] == [second.number]
        # Scheduled before the clock was set back by a week.
        assert len(await due(records, now=NOW - 7 * 86_400)) == 2
        assert await records.deliveries.reset(["one", "three"], now=NOW) == 3
        assert {each.number for each in await due(records)} == {first.number, second.number}
        assert await records.deliveries.waiting() == {"one": 2}
        assert await records.deliveries.next_due("one", now=NOW) is None
