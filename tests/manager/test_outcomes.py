"""Rows that follow the outcomes of an attempt, with real records, a real directory and a real client."""

import asyncio
import hashlib

import pytest
from msgspec.structs import replace
from support.dispatchers import has_no_origins
from support.fake_slots import FakeSlots
from support.manager_stack import CONFIG
from support.origin.content import expected_bytes
from support.origin.origin import Origin
from support.origin.scripted_response import ScriptedResponse, error_response, redirect
from support.ports import free_port
from support.run_parts import SIZE, RunParts, perform
from support.stored_downloads import present, sample_download
from support.waiting import CONDITION_TIMEOUT, wait_until

from downloadd.attempt_options import AttemptOptions
from downloadd.download import Mirror, ResumedBy
from downloadd.errors import ErrorCode, NetworkError, NetworkErrorKind
from downloadd.manager.origin_monitor import OriginMonitor
from downloadd.manager.outcomes import must_start_over
from downloadd.manager.run import StopReason
from downloadd.records.protocol import HistoryFilter, WaitingDownload
from downloadd.states import State
from downloadd.storage.disk_space import DiskSpace
from downloadd.storage.names import parse_filename


async def test_a_transient_failure_is_deferred_for_as_long_as_the_host_asks(parts: RunParts) -> None:
    parts.origin.script("/busy", error_response(503, retry_after="60"))
    row = await perform(parts.make_run(await parts.claim("/busy")))
    until = parts.clock.now + 60
    assert (row.state, row.progress.failures, row.progress.not_before) == (State.RETRYING, 0, until)
    record = parts.dispatcher.origins.record(row.progress.origin)
    assert record is not None
    assert record.backoff_until == until
    assert await parts.records.origins.load() == [record]
    assert row.progress.time_spent == 60
    assert await present(parts.records, row.id) == row


async def test_a_transient_failure_after_the_last_retry_ends_the_download(parts: RunParts) -> None:
    parts.origin.script("/busy", error_response(503))
    row = await perform(parts.make_run(await parts.claim("/busy"), replace(CONFIG, max_retries=0)))
    assert (row.state, row.progress.attempt) == (State.FAILED, 1)


async def test_a_download_has_retries_and_a_wait_of_its_own(parts: RunParts) -> None:
    parts.origin.script("/busy", error_response(500))
    options = AttemptOptions(max_retries=1, retry_wait=90)
    row = await perform(parts.make_run(await parts.claim("/busy", attempt_options=options)))
    assert (row.state, row.progress.failures) == (State.RETRYING, 1)
    assert row.progress.not_before == parts.clock.now + 90
    options = AttemptOptions(max_retries=0)
    row = await perform(parts.make_run(await parts.claim("/busy", attempt_options=options)))
    assert (row.state, row.progress.attempt) == (State.FAILED, 1)


async def test_a_download_without_retries_fails_when_its_host_does(parts: RunParts) -> None:
    unreachable = f"http://127.0.0.1:{free_port()}"
    for options, state in ((None, State.RETRYING), (AttemptOptions(max_retries=0), State.FAILED)):
        row = await parts.claim("/f", url=f"{unreachable}/f", attempt_options=options)
        row = await perform(parts.make_run(row.with_progress(origin=unreachable)))
        assert (row.state, row.result.error) == (state, ErrorCode.NETWORK_ERROR)


@pytest.mark.parametrize(
    ("path", "cause", "status"),
    [
        ("/slow", NetworkErrorKind.STALLED, None),
        ("/cut", NetworkErrorKind.CUT, None),
        ("/silent", NetworkErrorKind.NO_RESPONSE, None),
        ("/busy", None, 500),
        ("/gone", None, 410),
    ],
)
async def test_the_row_says_what_the_origin_did(
    parts: RunParts, path: str, cause: NetworkErrorKind | None, status: int | None
) -> None:
    parts.origin.script("/cut", ScriptedResponse(size=SIZE, cut_after=100))
    parts.origin.script("/silent", ScriptedResponse(raw=b""))
    parts.origin.script("/busy", error_response(500))
    parts.origin.script("/gone", error_response(410))
    # On a machine with other load, a late answer must not be a stall.
    options = AttemptOptions(stall_timeout=0.2 if cause is NetworkErrorKind.STALLED else CONDITION_TIMEOUT)
    row = await perform(parts.make_run(await parts.claim(path, attempt_options=options)))
    assert (row.result.cause, row.result.origin_status) == (cause, status)
    assert await present(parts.records, row.id) == row


async def test_a_permanent_failure_ends_the_download_and_removes_the_part_file(parts: RunParts) -> None:
    run = parts.make_run(await parts.claim("/f", requested_checksum=f"sha-256={'0' * 64}"))
    row = await perform(run)
    assert (row.state, row.result.error) == (State.FAILED, ErrorCode.CHECKSUM_MISMATCH)
    assert State.VERIFYING in parts.states
    assert await parts.records.history(HistoryFilter()) == [row]
    assert parts.files() == {}


async def fill_disk(parts: RunParts, monkeypatch: pytest.MonkeyPatch, free: int) -> None:
    """Leave `free` bytes by the next measurement."""
    space = DiskSpace(free=free, capacity=1 << 40)
    monkeypatch.setattr(parts.destination._space, "_measure", lambda: space)
    parts.destination._space.invalidate()


async def test_a_download_without_space_waits_and_its_attempt_is_not_counted(
    parts: RunParts, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = await parts.claim("/f")
    await fill_disk(parts, monkeypatch, SIZE - 1)
    run = parts.make_run(row)
    saved = await run.perform()
    assert saved is not None
    assert (saved.state, saved.result.error, saved.result.detail) == (State.QUEUED, None, None)
    assert (saved.progress.attempt, saved.progress.failures) == (0, 0)
    assert run.pending_space is not None
    assert (run.pending_space.needed, run.pending_space.kept) == (SIZE, 0)
    assert parts.files() == {}
    assert await present(parts.records, row.id) == saved


async def test_a_download_without_space_for_its_rest_keeps_what_it_has(
    parts: RunParts, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts.origin.script(
        "/cut", [ScriptedResponse(size=SIZE, etag='"a"', cut_after=50_000), ScriptedResponse(size=SIZE, etag='"a"')]
    )
    row = await parts.claim("/cut")
    assert await parts.make_run(row).perform() is not None
    [kept] = map(len, parts.files().values())
    assert 0 < kept < SIZE
    await fill_disk(parts, monkeypatch, SIZE - kept - 1)
    [row] = await parts.records.claim([row.seq])
    run = parts.make_run(row)
    outcome = await run.perform()
    assert outcome is not None
    assert (outcome.state, outcome.progress.received) == (State.QUEUED, kept)
    assert run.pending_space is not None
    assert (run.pending_space.needed, run.pending_space.kept) == (SIZE - kept, kept)
    assert [len(content) for content in parts.files().values()] == [kept]


async def test_a_download_without_space_for_the_gaps_of_its_part_keeps_its_ranges(
    parts: RunParts, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = await parts.claim("/f", segments=2)
    part = await parts.destination.open_part(
        directory="d", filename=parse_filename("f"), download_id=row.id, epoch=row.epoch, existing=None
    )
    for start, end in ((0, 50_000), (100_000, 150_000)):
        await part.write([expected_bytes(0, start, end)], start)
    await part.close()
    ranges = "0-50000,100000-150000"
    interrupted = replace(
        row.with_progress(
            part_name=part.name,
            received=100_000,
            received_ranges=ranges,
            total=SIZE,
            validator='"v"',
            final_url_digest="",
        ),
        state=State.QUEUED,
    )
    await parts.records.save(interrupted)
    [row] = await parts.records.claim([row.seq])
    await fill_disk(parts, monkeypatch, SIZE - 100_001)
    run = parts.make_run(row)
    held = await perform(run)
    assert run.pending_space is not None
    assert (run.pending_space.needed, run.pending_space.kept) == (100_000, 100_000)
    assert (held.state, held.progress.received, held.progress.received_ranges) == (State.QUEUED, 100_000, ranges)
    await fill_disk(parts, monkeypatch, SIZE)
    [row] = await parts.records.claim([row.seq])
    completed = await perform(parts.make_run(row))
    assert completed.state is State.COMPLETED
    assert parts.files() == {"f": expected_bytes(0, 0, SIZE)}
    assert parts.origin.bytes_sent("/f") < 150_000


async def test_a_file_resumed_without_a_strong_validator_whose_digest_differs_starts_over_once(parts: RunParts) -> None:
    content = expected_bytes(0, 0, SIZE)
    checksum = f"sha-256={hashlib.sha256(content).hexdigest()}"
    # Another version, with the same length; only its beginning has arrived.
    changed = ScriptedResponse(size=SIZE, seed=1, cut_after=150_000)
    rest = [ScriptedResponse(size=SIZE)] * 3
    parts.origin.script("/c", [changed, *rest])
    row = await parts.claim("/c", requested_checksum=checksum)
    row = await perform(parts.make_run(row))
    assert (row.state, row.result.error) == (State.RETRYING, ErrorCode.NETWORK_ERROR)
    part_name = row.progress.part_name
    assert part_name is not None
    # The overlap is equal, as if only earlier bytes had changed.
    received = row.progress.received
    part = parts.root / "d" / part_name
    part.write_bytes(bytes(100) + content[100:received])
    [row] = await parts.records.claim([row.seq])
    row = await perform(parts.make_run(row))
    assert (row.state, row.result.error) == (State.RETRYING, ErrorCode.CHECKSUM_MISMATCH)
    assert (row.progress.part_name, row.progress.strict_resume, row.progress.failures) == (None, True, 1)
    [row] = await parts.records.claim([row.seq])
    row = await perform(parts.make_run(row))
    assert row.state is State.COMPLETED
    assert list(parts.files().values()) == [content]


@pytest.mark.parametrize(
    ("resumed_by", "strict_resume", "expected"),
    [
        (None, False, False),
        (ResumedBy.VALIDATOR, False, False),
        (ResumedBy.DIGEST, False, True),
        (ResumedBy.OVERLAP, False, True),
        (ResumedBy.OVERLAP, True, False),
    ],
)
def test_a_mismatch_starts_over_once_after_a_resume_on_weak_evidence(
    resumed_by: ResumedBy | None, strict_resume: bool, expected: bool
) -> None:
    row = sample_download().with_progress(resumed_by=resumed_by, strict_resume=strict_resume)
    assert must_start_over(row) is expected


async def fail_host(parts: RunParts, cause: NetworkErrorKind = NetworkErrorKind.CONNECT) -> OriginMonitor:
    """Return a monitor that knows that the origin has failed for 400 seconds."""
    monitor = OriginMonitor(parts.dispatcher.origins, parts.records.origins)
    refused = NetworkError("refused", kind=cause)
    await monitor.report_failure(parts.origin.url(""), 99, refused)
    parts.clock.now += 400
    return monitor


async def test_a_download_that_waited_too_long_for_a_host_that_never_answers_ends_without_a_request(
    parts: RunParts,
) -> None:
    await fail_host(parts, NetworkErrorKind.NAME)
    row = await perform(parts.make_run(await parts.claim("/f", timeout=300)))
    assert (row.state, row.result.error, row.result.detail) == (State.FAILED, ErrorCode.NETWORK_ERROR, "refused")
    assert row.result.cause is NetworkErrorKind.NAME
    assert parts.origin.requests("/f") == []


@pytest.mark.parametrize("has_answered", [False, True])
async def test_a_probe_whose_host_fails_costs_neither_a_retry_nor_time(parts: RunParts, has_answered: bool) -> None:
    monitor = await fail_host(parts)
    if has_answered:
        monitor.report_answer(parts.origin.url(""), 99)
        await fail_host(parts)
    parts.origin.script("/reset", ScriptedResponse(raw=b""))
    row = await perform(
        parts.make_run(await parts.claim("/reset", timeout=300 if has_answered else 0), replace(CONFIG, max_retries=0))
    )
    assert (row.state, row.progress.failures, row.progress.time_spent > 0) == (State.RETRYING, 0, not has_answered)


async def test_a_host_that_is_away_for_retry_for_ends_its_downloads(parts: RunParts) -> None:
    (await fail_host(parts)).report_answer(parts.origin.url(""), 99)
    await fail_host(parts)
    row = await perform(parts.make_run(await parts.claim("/f", timeout=0), replace(CONFIG, retry_for=399)))
    assert (row.state, row.result.error) == (State.FAILED, ErrorCode.NETWORK_ERROR)


async def test_an_answer_closes_the_circuit_for_the_others_at_once(parts: RunParts) -> None:
    await fail_host(parts)
    run = parts.make_run(await parts.claim("/slow", timeout=0))
    performing = asyncio.create_task(perform(run))
    await wait_until(lambda: has_no_origins(parts.dispatcher))
    run.stop(StopReason.CANCEL)
    await performing


@pytest.mark.parametrize(("etag", "kept"), [('"v"', True), (None, False)])
async def test_a_failed_download_keeps_only_bytes_that_a_retry_can_continue(
    parts: RunParts, etag: str | None, kept: bool
) -> None:
    # Without a validator, the few bytes before the cut would be received again anyway.
    parts.origin.script("/cut", ScriptedResponse(size=SIZE, etag=etag, cut_after=50_000))
    row = await perform(parts.make_run(await parts.claim("/cut"), replace(CONFIG, max_retries=0)))
    assert (row.state, row.kept_bytes) == (State.FAILED, 50_000 if kept else 0)
    assert len(parts.files()) == int(kept)


async def test_a_download_that_is_redirected_to_an_origin_without_a_slot_waits_and_nothing_is_counted(
    parts: RunParts,
) -> None:
    async with Origin() as target:
        parts.origin.script("/r", redirect(target.url("/f")))
        row = await parts.claim("/r", timeout=60)
        run = parts.make_run(row, slots=FakeSlots(0))
        parts.clock.now += 30
        waiting = await perform(run)
        assert (waiting.state, waiting.progress.not_before, waiting.result.error) == (State.QUEUED, None, None)
        assert (waiting.progress.attempt, waiting.progress.failures, waiting.progress.time_spent) == (0, 0, 0)
        assert run.target_of(waiting.progress.origin) == target.url("")
        assert target.connections == 0
        assert await has_no_origins(parts.dispatcher)
        assert await present(parts.records, row.id) == waiting


async def test_a_failed_source_is_not_counted_while_another_one_waits_behind_a_redirect(parts: RunParts) -> None:
    async with Origin() as target:
        parts.origin.script("/r", redirect(target.url("/f")))
        parts.origin.script("/missing", error_response(404))
        mirror = Mirror(url=parts.origin.url("/missing").replace("127.0.0.1", "localhost"))
        row = await parts.claim("/r", mirrors=(mirror,))
        config = replace(CONFIG, max_retries=0)
        slots = FakeSlots(limits={target.url(""): 0})
        for _ in range(3):
            row = await perform(parts.make_run(row, config, slots=slots))
            assert (row.state, row.progress.failures, row.progress.source) == (State.QUEUED, 0, 0)
            [row] = await parts.records.claim([row.seq])


async def test_a_download_that_has_waited_too_long_for_the_target_of_its_redirects_fails_without_a_request(
    parts: RunParts,
) -> None:
    target = "http://127.0.0.1:9"
    refused = NetworkError("refused", kind=NetworkErrorKind.CONNECT)
    monitor = OriginMonitor(parts.dispatcher.origins, parts.records.origins)
    await monitor.report_failure(target, 99, refused)
    row = await parts.claim("/r", timeout=60)
    parts.clock.now += 120
    waiting = WaitingDownload(seq=row.seq, origin=row.progress.origin, priority=0, target=target)
    parts.dispatcher.queue.enqueue([waiting])
    assert parts.dispatcher.queue._scheduler.select_ready(parts.clock.monotonic()) == [row.seq]
    failed = await perform(parts.make_run(row))
    assert (failed.state, failed.result.error) == (State.FAILED, ErrorCode.NETWORK_ERROR)
    assert parts.origin.requests("/r") == []
    [status] = [one for one in (await parts.dispatcher.origins.listing(9)).origins if one.origin == target]
    # The next download that waits for it soon finds out too.
    assert (status.failures, status.next_attempt) == (2, parts.clock.wall() + 0.5)
