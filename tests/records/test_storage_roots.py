"""Record of the storage root."""

from pathlib import Path

from records.contract import ManualClock
from structlog.testing import capture_logs

from downloadd.records.sqlite import SqliteRecords
from downloadd.root_identity import RootIdentity


async def test_the_last_root_is_kept(tmp_path: Path) -> None:
    roots = [RootIdentity(marker=marker, path="/ü", device="8:1") for marker in ("a", None)]
    async with SqliteRecords(tmp_path, ManualClock()) as records:
        assert await records.storage_root.load() is None
        for root in roots:
            await records.storage_root.save(root)
            assert await records.storage_root.load() == root
    async with SqliteRecords(tmp_path, ManualClock()) as records:
        assert await records.storage_root.load() == roots[-1]


async def test_a_damaged_record_is_none(tmp_path: Path) -> None:
    async with SqliteRecords(tmp_path, ManualClock()) as records:
        await records.write(lambda cursor: cursor.execute("INSERT INTO storage_root VALUES ('{')").rowcount)
        with capture_logs() as lines:
            assert await records.storage_root.load() is None
    assert lines[0]["event"] == "storage_root_record_corrupt"
