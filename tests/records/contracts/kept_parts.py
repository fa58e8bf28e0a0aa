"""Contract of `KeptPartRecords`."""

from collections.abc import AsyncIterator

import pytest
from support.clocks import NOW
from support.downloads import with_fields
from support.stored_downloads import added, ids, sample_download
from support.stores import OpenStore

from downloadd.download import Download, Mirror
from downloadd.metrics import KeptUsage
from downloadd.records.kept_parts import PAGE_ROWS, KeptPart
from downloadd.records.store import Store
from downloadd.states import State


def failed(number: int, **fields: object) -> Download:
    return with_fields(sample_download(state=State.FAILED), end_time=int(NOW) + number, **fields)


class KeptPartContract:
    """Promises of every implementation of `KeptPartRecords`."""

    @pytest.fixture
    async def records(self, open_store: OpenStore) -> AsyncIterator[Store]:
        """Return an empty store."""
        async with open_store() as opened:
            yield opened

    async def test_part_files_of_ended_downloads_are_returned_oldest_first(self, records: Store) -> None:
        first, _, second, third, _ = await added(
            records,
            failed(5, part_name=".1.part", received=10),
            failed(6),
            failed(3, part_name=".2.part", received=20),
            failed(8, part_name=".3.part", received=30),
            sample_download(part_name=".active.part"),
        )
        page = await records.kept_parts.page()
        assert page[0] == KeptPart(
            id=first.id, ended_seq=1, end_time=int(NOW) + 5, directory="Downloads", part_name=".1.part", received=10
        )
        assert [part.id for part in page] == [first.id, second.id, third.id]
        assert [part.id for part in await records.kept_parts.page(after_ended_seq=page[1].ended_seq)] == [third.id]
        assert await records.kept_parts.usage() == KeptUsage(parts=3, size=60)

    async def test_pages_are_limited(self, records: Store) -> None:
        secret = {"url": "https://u:p@a/x", "redacted_url": "https://a/x"}
        await records.accept([failed(n, part_name=f".{n}.part", received=1, **secret) for n in range(PAGE_ROWS + 1)])
        page = await records.kept_parts.page()
        assert len(page) == PAGE_ROWS
        assert len(await records.kept_parts.page(after_ended_seq=page[-1].ended_seq)) == 1
        assert len(await records.kept_parts.with_secrets(after=(0, 0), until=int(NOW) + PAGE_ROWS)) == PAGE_ROWS

    async def test_no_part_file_is_kept_at_first(self, records: Store) -> None:
        assert await records.kept_parts.usage() == KeptUsage()
        assert await records.kept_parts.page() == []

    async def test_ended_downloads_that_may_have_secrets_are_returned_in_the_order_of_their_end(
        self, records: Store
    ) -> None:
        secret = {"url": "https://u:p@a/x", "redacted_url": "https://a/x"}
        mirrored = (Mirror(url="https://b/?token=x"),)
        later, early, same, _, _, _ = await added(
            records,
            failed(5, **secret),
            failed(3, mirrors=mirrored),
            failed(3, **secret),
            failed(4),
            failed(9, **secret),
            with_fields(sample_download(), **secret),
        )
        page = await records.kept_parts.with_secrets(after=(0, 0), until=int(NOW) + 8)
        assert ids(page) == [early.id, same.id, later.id]
        last = page[1].result
        rest = await records.kept_parts.with_secrets(
            after=(last.end_time or 0, last.ended_seq or 0), until=int(NOW) + 8
        )
        assert ids(rest) == [later.id]
