"""The health of the origins, and its copy in the records."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from support.clocks import ManualClock
from support.dispatchers import describe_wait, has_no_origins, make_dispatcher
from support.waiting import wait_until

from downloadd.errors import (
    DownloadError,
    DownloadTimeoutError,
    InsufficientStorageError,
    NetworkError,
    NetworkErrorKind,
    RemoteError,
    StorageError,
    StoreUnavailableError,
)
from downloadd.manager import origin_monitor
from downloadd.manager.limits import Limits
from downloadd.manager.local_dispatcher import LocalDispatcher
from downloadd.manager.origin_health import KEEP_SECONDS, Verdict
from downloadd.manager.origin_monitor import OriginMonitor
from downloadd.records.origins import OriginRecord
from downloadd.records.protocol import WaitingDownload
from downloadd.records.sqlite import SqliteRecords

A = "https://a.example"
CDN = "https://cdn.example.net"
REFUSED = NetworkError("refused", kind=NetworkErrorKind.CONNECT)


class Parts:
    def __init__(self, records: SqliteRecords, clock: ManualClock) -> None:
        self.records = records
        self.clock = clock
        self.dispatcher, self.monitor = self.restart()

    def restart(self) -> tuple[LocalDispatcher, OriginMonitor]:
        """Return a dispatcher and a monitor as they are after a start."""
        self.dispatcher = make_dispatcher(Limits(max_concurrent=9, max_per_host=9), self.clock)
        self.monitor = OriginMonitor(self.dispatcher.origins, self.records.origins)
        return self.dispatcher, self.monitor

    async def recorded(self) -> list[str]:
        return [record.origin for record in await self.records.origins.load()]


@pytest.fixture
async def parts(tmp_path: Path) -> AsyncIterator[Parts]:
    clock = ManualClock()
    async with SqliteRecords(tmp_path, clock) as records:
        yield Parts(records, clock)


async def test_a_backoff_is_durable_when_the_failure_has_been_reported(parts: Parts) -> None:
    verdict = await parts.monitor.report_failure(A, 1, RemoteError(429, retry_after=60))
    assert not verdict.is_counted
    assert await parts.recorded() == [A]
    dispatcher, monitor = parts.restart()
    await monitor.restore()
    assert await describe_wait(dispatcher.queue, A, None) == "a.example asked to wait, 60 s more"


async def test_an_open_circuit_survives_a_restart(parts: Parts) -> None:
    await parts.monitor.report_failure(A, 1, REFUSED)
    dispatcher, monitor = parts.restart()
    await monitor.restore()
    assert "could not be reached" in await describe_wait(dispatcher.queue, A, None)
    assert not monitor.is_awaited(A)


async def test_an_error_that_does_not_concern_the_origin_changes_nothing(parts: Parts) -> None:
    assert await parts.monitor.report_failure(A, 1, DownloadTimeoutError(5)) == Verdict()
    assert await has_no_origins(parts.dispatcher)


async def test_the_record_of_a_recovered_origin_is_removed(parts: Parts) -> None:
    removing = asyncio.create_task(parts.monitor.remove_recovered())
    await parts.monitor.report_failure(A, 1, REFUSED)
    parts.monitor.report_answer(A, 1)

    async def is_removed() -> bool:
        return await parts.recorded() == []

    await wait_until(is_removed)
    removing.cancel()


async def test_the_record_of_an_unused_origin_is_removed(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(origin_monitor, "CHECK_SECONDS", 0.01)
    await parts.monitor.report_failure(A, 1, REFUSED)
    removing = asyncio.create_task(parts.monitor.remove_recovered())
    await asyncio.sleep(0.05)
    assert await parts.recorded() == [A]
    parts.clock.now += KEEP_SECONDS + 60
    dispatching = asyncio.create_task(parts.dispatcher.queue.dispatch(_start_nothing))

    async def is_removed() -> bool:
        return await parts.recorded() == []

    await wait_until(is_removed)
    removing.cancel()
    dispatching.cancel()


def _start_nothing(claimed: object) -> None:
    pass


@pytest.mark.parametrize(
    "error", [StoreUnavailableError("locked"), StorageError("disk I/O error"), InsufficientStorageError("full")]
)
async def test_records_that_fail_do_not_fail_the_report(
    parts: Parts, monkeypatch: pytest.MonkeyPatch, error: DownloadError
) -> None:
    async def fail(record: OriginRecord) -> None:
        raise error

    with monkeypatch.context() as context:
        context.setattr(parts.records.origins, "save", fail)
        assert not (await parts.monitor.report_failure(A, 1, REFUSED)).is_counted
    assert await parts.recorded() == []
    await parts.monitor.report_failure(A, 2, REFUSED)
    assert await parts.recorded() == [A]


async def test_an_end_by_time_lets_the_next_probe_start_soon(parts: Parts) -> None:
    for _ in range(8):
        await parts.monitor.report_failure(A, 1, REFUSED)
        # Later than each probe, so that all of them count.
        parts.clock.now += 60
    before = parts.dispatcher.origins.record(A)
    parts.clock.now -= 60
    parts.monitor.hasten_probe(A)
    after = parts.dispatcher.origins.record(A)
    assert before is not None
    assert after is not None
    assert after.probe_at == parts.clock.now + 0.5 < before.probe_at


async def test_the_failure_of_an_expected_target_is_known(parts: Parts) -> None:
    await parts.monitor.report_failure(CDN, 1, REFUSED)
    parts.clock.now += 10
    parts.dispatcher.queue.enqueue([WaitingDownload(seq=2, origin=A, priority=0, target=CDN)])
    assert parts.monitor.known_failure(A, 2) is None
    dispatching = asyncio.create_task(parts.dispatcher.queue.dispatch(_start_nothing))
    await wait_until(lambda: parts.dispatcher.queue._scheduler.waiting == 0)
    known = parts.monitor.known_failure(A, 2)
    assert known is not None
    assert (known.origin, known.detail, known.verdict.failing_seconds) == (CDN, "refused", 10)
    await parts.monitor.report_failure(A, 1, REFUSED)
    known = parts.monitor.known_failure(A, 2)
    assert known is not None
    assert known.origin == A
    dispatching.cancel()
