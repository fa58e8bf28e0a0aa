"""Run of one download, with real records, a real directory and a real client."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from support.clocks import ManualClock
from support.manager_stack import CONFIG
from support.origin.content import expected_bytes
from support.origin.origin import Origin
from support.origin.scripted_response import ScriptedResponse, error_response
from support.stored_downloads import claimed, present, sample_download
from support.waiting import wait_until

from downloadd.config import DownloadsConfig
from downloadd.download import Download
from downloadd.errors import ErrorCode
from downloadd.manager.local_dispatcher import LocalDispatcher
from downloadd.manager.rate_limit import DownloadLimiter, TokenBucket
from downloadd.manager.run import HostBackoff, Run, StopReason
from downloadd.manager.scheduler import Limits
from downloadd.policy.policy import Policy
from downloadd.records.protocol import HistoryFilter
from downloadd.records.sqlite import SqliteRecords
from downloadd.states import State
from downloadd.storage.local import LocalDestination
from downloadd.transfer.session import Session

SIZE = 200_000
STALL_AFTER = 50_000


class RunParts:
    """Records, directory and client of runs, with the origin that they ask."""

    def __init__(
        self, *, root: Path, records: SqliteRecords, destination: LocalDestination, session: Session, origin: Origin
    ) -> None:
        self.root = root
        self.records = records
        self.destination = destination
        self.session = session
        self.origin = origin
        self.clock = ManualClock()
        self.states: list[State] = []

    async def claim(self, path: str, **fields: Any) -> Download:
        """Return a claimed row for a path of the origin."""
        row = sample_download(self.origin.url(path), host="127.0.0.1", directory="d", filename="f")
        return await claimed(self.records, row.with_request(**fields))

    def make_run(self, row: Download, config: DownloadsConfig = CONFIG, *, keeps_parts: bool = True) -> Run:
        return Run(
            row,
            records=self.records,
            session=self.session,
            destination=self.destination,
            clock=self.clock,
            limiter=DownloadLimiter(TokenBucket(0), TokenBucket(0)),
            flush_interval=lambda: 0.0,
            slots=LocalDispatcher(Limits.from_config(config), self.clock),
            config=config,
            keeps_parts=keeps_parts,
            on_change=lambda run: self.states.append(run.download.state),
        )

    def files(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in self.root.rglob("*") if path.is_file()}


@pytest.fixture
async def parts(tmp_path: Path) -> AsyncIterator[RunParts]:
    async with (
        Origin() as origin,
        SqliteRecords(tmp_path / "state", ManualClock()) as records,
        LocalDestination(tmp_path / "files", min_free=0, fsync=False) as destination,
        Session(policy=Policy.from_config(CONFIG), credentials=(), stall_timeout=CONFIG.stall_timeout) as session,
    ):
        origin.script("/f", ScriptedResponse(size=SIZE, etag='"v"'))
        origin.script("/slow", ScriptedResponse(size=SIZE, etag='"v"', stall_after=STALL_AFTER))
        yield RunParts(
            root=tmp_path / "files", records=records, destination=destination, session=session, origin=origin
        )


async def perform(run: Run) -> tuple[Download, HostBackoff | None]:
    """Return the outcome of a run that is not fenced."""
    async with asyncio.timeout(20):
        outcome = await run.perform()
    assert outcome is not None
    return outcome


async def start_and_stall(parts: RunParts) -> tuple[Run, "asyncio.Task[tuple[Download, HostBackoff | None]]"]:
    """Return a run that waits for more bytes."""
    run = parts.make_run(await parts.claim("/slow"))
    performing = asyncio.create_task(perform(run))
    await wait_until(lambda: run.snapshot().download.progress.received == STALL_AFTER)
    return run, performing


async def test_a_complete_file_is_published_and_recorded(parts: RunParts) -> None:
    run = parts.make_run(await parts.claim("/f"))
    row, host_backoff = await perform(run)
    assert (row.state, row.progress.total, host_backoff) == (State.COMPLETED, SIZE, None)
    assert parts.files() == {"f": expected_bytes(0, 0, SIZE)}
    assert await parts.records.history(HistoryFilter()) == [row]
    assert (run.received_bytes, run.request_count) == (SIZE, 1)
    assert State.DOWNLOADING in parts.states


@pytest.mark.parametrize(
    ("reason", "state", "attempt"),
    [
        (StopReason.PAUSE, State.PAUSED, 1),
        (StopReason.CANCEL, State.CANCELLED, 1),
        (StopReason.INTERRUPT, State.QUEUED, 0),
    ],
)
async def test_a_stop_before_the_attempt_makes_no_request(
    parts: RunParts, reason: StopReason, state: State, attempt: int
) -> None:
    run = parts.make_run(await parts.claim("/f"))
    run.stop(reason)
    row, _ = await perform(run)
    assert (row.state, row.progress.attempt) == (state, attempt)
    assert await present(parts.records, row.id) == row
    assert parts.origin.requests("/f") == []
    assert parts.files() == {}


@pytest.mark.parametrize(
    ("reason", "state", "attempt"), [(StopReason.PAUSE, State.PAUSED, 1), (StopReason.INTERRUPT, State.QUEUED, 0)]
)
async def test_a_stop_during_the_transfer_keeps_what_was_received(
    parts: RunParts, reason: StopReason, state: State, attempt: int
) -> None:
    run, performing = await start_and_stall(parts)
    run.stop(reason)
    row, _ = await performing
    assert (row.state, row.progress.received, row.progress.attempt) == (state, STALL_AFTER, attempt)
    assert await present(parts.records, row.id) == row
    assert row.progress.part_name is not None
    assert parts.files() == {row.progress.part_name: expected_bytes(0, 0, STALL_AFTER)}


async def test_a_cancel_removes_the_part_file_and_is_not_replaced_by_another_reason(parts: RunParts) -> None:
    run, performing = await start_and_stall(parts)
    run.stop(StopReason.CANCEL)
    run.stop(StopReason.INTERRUPT)
    row, _ = await performing
    assert (row.state, row.result.error) == (State.CANCELLED, ErrorCode.CANCELLED)
    assert parts.files() == {}


async def test_a_transient_failure_is_deferred_for_as_long_as_the_host_asks(parts: RunParts) -> None:
    parts.origin.script("/busy", error_response(503, retry_after="60"))
    row, host_backoff = await perform(parts.make_run(await parts.claim("/busy")))
    until = parts.clock.now + 60
    assert (row.state, row.progress.failures, row.progress.not_before) == (State.RETRYING, 1, until)
    assert host_backoff == HostBackoff(host="127.0.0.1", until=until)
    assert row.progress.time_spent == 60
    assert await present(parts.records, row.id) == row


async def test_a_transient_failure_after_the_last_retry_ends_the_download(parts: RunParts) -> None:
    parts.origin.script("/busy", error_response(503))
    row, _ = await perform(parts.make_run(await parts.claim("/busy"), replace(CONFIG, max_retries=0)))
    assert (row.state, row.progress.attempt) == (State.FAILED, 1)


async def test_a_permanent_failure_ends_the_download_and_removes_the_part_file(parts: RunParts) -> None:
    run = parts.make_run(await parts.claim("/f", requested_checksum=f"sha-256={'0' * 64}"))
    row, host_backoff = await perform(run)
    assert (row.state, row.result.error, host_backoff) == (State.FAILED, ErrorCode.CHECKSUM_MISMATCH, None)
    assert State.VERIFYING in parts.states
    assert await parts.records.history(HistoryFilter()) == [row]
    assert parts.files() == {}


async def test_an_unexpected_exception_ends_the_download_as_an_internal_error(
    parts: RunParts, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def crash(**_: object) -> None:
        raise LookupError("unexpected")

    monkeypatch.setattr(parts.destination, "open_part", crash)
    row, _ = await perform(parts.make_run(await parts.claim("/f")))
    assert (row.state, row.result.error) == (State.FAILED, ErrorCode.INTERNAL_ERROR)


async def test_a_fenced_run_has_no_outcome_and_changes_no_row(parts: RunParts) -> None:
    row = await parts.claim("/f")
    await parts.records.save(replace(row, state=State.QUEUED))
    [current] = await parts.records.claim([row.seq])
    async with asyncio.timeout(20):
        assert await parts.make_run(row).perform() is None
    assert await present(parts.records, row.id) == current
    assert "f" not in parts.files()
    assert (await perform(parts.make_run(current)))[0].state is State.COMPLETED


async def test_an_amended_row_changes_the_control_fields_alone(parts: RunParts) -> None:
    run = parts.make_run(await parts.claim("/f"))
    before = run.download
    run.apply_amended(replace(before.with_control(priority=7), filename="other"))
    assert run.download == before.with_control(priority=7)
