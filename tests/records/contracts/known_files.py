"""Contract of `KnownFileRecords`."""

from collections.abc import AsyncIterator

import pytest
from support.downloads import with_fields
from support.stored_downloads import added, ids, sample_download
from support.stores import OpenStore

from downloadd.download import Download
from downloadd.records.known_files import MAX_KNOWN_FILES
from downloadd.records.protocol import HistoryFilter
from downloadd.records.store import Store
from downloadd.states import State


def published(resource: str | None = "a") -> Download:
    return with_fields(sample_download(state=State.COMPLETED), resource=resource, validator='"v"', total=3)


class KnownFileContract:
    """Promises of every implementation of `KnownFileRecords`."""

    @pytest.fixture
    async def records(self, open_store: OpenStore) -> AsyncIterator[Store]:
        """Return an empty store."""
        async with open_store() as opened:
            yield opened

    async def test_downloads_of_a_resource_are_returned_newest_end_first(self, records: Store) -> None:
        first, _, _, second, _ = await added(
            records,
            published(),
            published("b"),
            published(None),
            published(),
            with_fields(published(), state=State.QUEUED),
        )
        found = await records.known_files.find("a")
        assert ids(found) == [second.id, first.id]
        assert found[0].progress.validator == '"v"'
        assert await records.known_files.find("c") == []

    async def test_the_newest_of_many_are_returned(self, records: Store) -> None:
        rows = await added(records, *(published() for _ in range(MAX_KNOWN_FILES + 1)))
        assert ids(await records.known_files.find("a")) == ids(rows[:0:-1])

    async def test_a_file_with_the_identity_of_a_later_one_is_not_known(self, records: Store) -> None:
        files = {"first": published(), "other": published("b"), "last": published(None)}
        await added(records, *(with_fields(row, file_identity=f"{name}-3-1") for name, row in files.items()))
        assert ids(await records.known_files.find("a")) == [files["first"].id]
        assert ids(await records.known_files.find("b")) == [files["other"].id]
        # Another resource was saved with the inode, size and time of the first file; a third one is being published.
        await added(
            records,
            with_fields(published("c"), file_identity="first-3-1"),
            with_fields(sample_download(state=State.QUEUED), file_identity="other-3-1"),
        )
        assert await records.known_files.find("a") == []
        assert await records.known_files.find("b") == []
        assert len(await records.known_files.find("c")) == 1

    async def test_a_download_that_was_removed_from_the_history_is_not_known(self, records: Store) -> None:
        await added(records, published())
        await records.remove_ended(await records.ended_rows(HistoryFilter()))
        assert await records.known_files.find("a") == []
