"""Record of the storage root."""

from pathlib import Path

from records.contracts.storage_root import StorageRootContract
from structlog.testing import capture_logs
from support.clocks import ManualClock

from downloadd.records.sqlite import SqliteRecords


class TestSqliteStorageRoot(StorageRootContract):
    """The contract, kept by SQLite."""


async def test_a_damaged_record_is_none(tmp_path: Path) -> None:
    async with SqliteRecords(tmp_path, ManualClock()) as records:
        await records.write(lambda cursor: cursor.execute("INSERT INTO storage_root VALUES ('{')").rowcount)
        with capture_logs() as lines:
            assert await records.storage_root.load() is None
    assert lines[0]["event"] == "storage_root_record_corrupt"
