"""Record and confirmation of the storage root, with real records and a real directory."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from records.contract import ManualClock

from downloadd.errors import StartupError, StorageRootMissingError
from downloadd.manager.storage_identity import StorageConfirmation, StorageIdentity
from downloadd.records.sqlite import SqliteRecords
from downloadd.root_identity import RootIdentity
from downloadd.storage.local import LocalDestination
from downloadd.storage.root_verifier import RootVerifier


@pytest.fixture
async def records(tmp_path: Path) -> AsyncIterator[SqliteRecords]:
    async with SqliteRecords(tmp_path / "state", ManualClock()) as records:
        yield records


@asynccontextmanager
async def opened(records: SqliteRecords, root: Path) -> AsyncIterator[LocalDestination]:
    async with StorageIdentity(records) as identity:
        verifier = RootVerifier(identity.expected, fsync=False, on_identified=identity.record)
        async with LocalDestination(root, min_free=0, fsync=False, verifier=verifier) as destination:
            yield destination


async def test_another_root_is_held_until_it_is_accepted(records: SqliteRecords, tmp_path: Path) -> None:
    root = tmp_path / "root"
    async with opened(records, root) as destination:
        await destination.check_free_space(0)
    before = await records.storage_root.load()
    root.rename(tmp_path / "away")
    async with opened(records, root) as destination:
        with pytest.raises(StorageRootMissingError, match="storage accept"):
            await destination.check_free_space(0)
        assert await records.storage_root.load() == before
        accepted = await StorageConfirmation(records.storage_root, destination).accept()
        assert await records.storage_root.load() == accepted != before
        await destination.check_free_space(0)
    async with opened(records, root) as destination:
        await destination.check_free_space(0)


async def test_a_missing_root_cannot_be_accepted(records: SqliteRecords, tmp_path: Path) -> None:
    async with opened(records, tmp_path / "root") as destination:
        (tmp_path / "root").rename(tmp_path / "away")
        with pytest.raises(StorageRootMissingError):
            await StorageConfirmation(records.storage_root, destination).accept()


async def test_an_identity_is_recorded_from_any_thread(records: SqliteRecords) -> None:
    root = RootIdentity(marker="m", path="/")
    async with StorageIdentity(records) as identity:
        await asyncio.to_thread(identity.record, root)
    assert await records.storage_root.load() == root


async def test_the_first_of_two_nodes_that_begin_at_once_decides_about_the_root(
    records: SqliteRecords, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "is_shared", True)
    async with (
        StorageIdentity(records) as first,
        StorageIdentity(records) as second,
    ):
        for identity, marker in ((first, "a"), (second, "b")):
            await asyncio.to_thread(identity.record, RootIdentity(marker=marker, path="/"))
        await first.confirm()
        with pytest.raises(StartupError, match="is not that of the database"):
            await second.confirm()
