"""Records of origins that are not healthy; the contract of `Records` has their promises."""

import pytest
from structlog.testing import capture_logs
from support.clocks import NOW, ManualClock

from downloadd.records.origins import OriginRecord
from downloadd.records.postgres.records import PostgresRecords


@pytest.mark.parametrize("failures", [0, 2**40])
async def test_a_record_comes_back_as_it_was_saved(database: str, failures: int) -> None:
    record = OriginRecord(
        origin="https://ä\0", backoff_until=NOW, is_open=True, probe_at=0.5, failures=failures, has_answered=False
    )
    async with PostgresRecords(database, ManualClock()) as records:
        with capture_logs() as lines:
            await records.origins.save(record)
            assert await records.origins.load() == [record]
    assert lines == []
