"""Watch of the places from which users come."""

from pathlib import Path

import pytest
from structlog.testing import capture_logs
from support.waiting import wait_until

from downloadd.accounts import user_watch
from downloadd.accounts.user_watch import UserWatch, WatchedFile
from downloadd.errors import StartupError, StoreUnavailableError


async def test_a_file_is_applied_once_until_it_changes_and_again_after_a_failure(tmp_path: Path) -> None:
    file, seen, failing = tmp_path / "f", list[str](), [False]

    async def apply() -> None:
        if failing[0]:
            raise StartupError("malformed")
        seen.append(file.read_text() if file.exists() else "missing")

    watched = WatchedFile(file, apply)
    await watched.refresh()
    await watched.refresh()
    file.write_text("a")
    failing[0] = True
    for _ in range(2):
        with pytest.raises(StartupError):
            await watched.refresh()
    failing[0] = False
    await watched.refresh()
    await watched.refresh()
    file.unlink()
    await watched.refresh()
    assert seen == ["missing", "a", "missing"]


@pytest.mark.parametrize("error", [StartupError("a\nb"), OSError("a"), RuntimeError("a")])
async def test_a_failure_is_logged_once_and_the_other_sources_are_read(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setattr(user_watch, "POLL_SECONDS", 0.001)
    counts, is_failing = [0, 0], False

    async def fail() -> None:
        counts[0] += 1
        if is_failing:
            raise error

    async def read() -> None:
        counts[1] += 1

    async with UserWatch({"a": fail, "b": read}):
        assert counts == [1, 1]
        with capture_logs() as lines:
            for _ in range(2):
                is_failing = True
                reached = counts[1] + 3
                await wait_until(lambda reached=reached: counts[1] > reached)
                is_failing = False
                reached = counts[0] + 2
                await wait_until(lambda reached=reached: counts[0] > reached)
    assert [(line["event"], line["source"]) for line in lines] == [("users_not_read", "a")] * 2


async def test_the_records_log_themselves_that_they_are_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    count = 0

    async def read() -> None:
        nonlocal count
        count += 1
        if count > 1:
            raise StoreUnavailableError("away")

    with capture_logs() as lines:
        async with UserWatch({"records": read}) as watch:
            # It need not wait for the next poll.
            monkeypatch.setattr(user_watch, "POLL_SECONDS", 1000)
            for number in range(1, 4):
                watch.wake()
                await wait_until(lambda number=number: count > number)
    assert lines == []


async def test_a_failure_at_the_start_is_raised() -> None:
    async def fail() -> None:
        raise StartupError("malformed")

    with pytest.raises(StartupError):
        async with UserWatch({"a": fail}):
            pass
