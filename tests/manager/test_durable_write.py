"""Writes that are repeated until they succeed."""

import pytest
from structlog.testing import capture_logs

from downloadd.errors import NetworkError, StorageError, StoreUnavailableError
from downloadd.manager import durable_write
from downloadd.manager.durable_write import retry_forever
from downloadd.records import availability


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(durable_write, "STORE_RETRY_SECONDS", 0)
    monkeypatch.setattr(availability, "MIN_PAUSE_SECONDS", 0)


async def test_a_write_is_repeated_until_it_succeeds_and_each_failure_is_logged() -> None:
    errors = [StorageError("a"), NetworkError("b")]

    async def write() -> str:
        if errors:
            raise errors.pop(0)
        return "written"

    with capture_logs() as lines:
        assert await retry_forever(write, "write_failed", download_id="x") == "written"
    assert [(line["event"], line["detail"], line["download_id"]) for line in lines] == [
        ("write_failed", "a", "x"),
        ("write_failed", "b", "x"),
    ]


async def test_unavailable_records_are_waited_for_without_a_log_line() -> None:
    errors = [StoreUnavailableError("locked")]

    async def write() -> str:
        if errors:
            raise errors.pop()
        return "written"

    with capture_logs() as lines:
        assert await retry_forever(write, "write_failed") == "written"
    assert lines == []


async def test_a_defect_is_not_repeated() -> None:
    async def write() -> None:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        await retry_forever(write, "write_failed")
