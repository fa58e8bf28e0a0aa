"""Run of one download, with real records, a real directory and a real client."""

import asyncio
import hashlib
from collections.abc import Sequence
from functools import partial
from typing import Any

import pytest
from msgspec.structs import replace
from support.fake_slots import FakeSlots
from support.origin.content import expected_bytes
from support.origin.origin import Origin
from support.origin.scripted_response import ScriptedResponse, redirect
from support.run_parts import SIZE, STALL_AFTER, RunParts, perform, start_and_stall
from support.stored_downloads import present
from support.waiting import CONDITION_TIMEOUT

from downloadd.download import Conflict, Download, PendingRule
from downloadd.errors import ErrorCode, InsufficientStorageError, NetworkError, NetworkErrorKind, SpacePendingError
from downloadd.manager.amendment import CheckedChange, amend
from downloadd.manager.origin_monitor import OriginMonitor
from downloadd.manager.queue_report import OriginState
from downloadd.manager.run import StopReason
from downloadd.records.protocol import HistoryFilter
from downloadd.states import State
from downloadd.storage.part_file import PartFile


async def test_a_complete_file_is_published_and_recorded(parts: RunParts) -> None:
    run = parts.make_run(await parts.claim("/f"))
    row = await perform(run)
    assert (row.state, row.progress.total) == (State.COMPLETED, SIZE)
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
    row = await perform(run)
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
    row = await performing
    assert (row.state, row.progress.received, row.progress.attempt) == (state, STALL_AFTER, attempt)
    assert await present(parts.records, row.id) == row
    assert row.progress.part_name is not None
    assert parts.files() == {row.progress.part_name: expected_bytes(0, 0, STALL_AFTER)}


async def test_a_cancel_removes_the_part_file_and_is_not_replaced_by_another_reason(parts: RunParts) -> None:
    run, performing = await start_and_stall(parts)
    run.stop(StopReason.CANCEL)
    run.stop(StopReason.INTERRUPT)
    row = await performing
    assert (row.state, row.result.error) == (State.CANCELLED, ErrorCode.CANCELLED)
    assert parts.files() == {}


@pytest.mark.parametrize("is_disk_full", [False, True])
async def test_the_end_is_recorded_before_the_part_file_is_removed_unless_the_records_need_its_space(
    parts: RunParts, monkeypatch: pytest.MonkeyPatch, is_disk_full: bool
) -> None:
    run, performing = await start_and_stall(parts)
    save, files_at_end = parts.records.save, []

    async def save_end(row: Download) -> Download | None:
        assert row.state is State.CANCELLED
        files_at_end.append(len(parts.files()))
        if is_disk_full and parts.files():
            raise InsufficientStorageError("full")
        return await save(row)

    monkeypatch.setattr(parts.records, "save", save_end)
    run.stop(StopReason.CANCEL)
    assert (await performing).state is State.CANCELLED
    assert files_at_end == ([1, 0] if is_disk_full else [1])
    assert parts.files() == {}


async def test_a_download_that_is_cancelled_while_the_disk_is_full_is_cancelled(
    parts: RunParts, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = await parts.claim("/f")
    run = parts.make_run(row)

    async def reserve(*_: Any, **__: Any) -> None:
        run._stop = StopReason.CANCEL
        raise SpacePendingError(needed=1, kept=0, available=0)

    monkeypatch.setattr(PartFile, "reserve", reserve)
    outcome = await run.perform()
    assert outcome is not None
    assert outcome.state is State.CANCELLED
    assert run.pending_space is None


async def test_an_unexpected_exception_ends_the_download_as_an_internal_error(
    parts: RunParts, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def crash(**_: object) -> None:
        raise LookupError("unexpected")

    monkeypatch.setattr(parts.destination, "open_part", crash)
    row = await perform(parts.make_run(await parts.claim("/f")))
    assert (row.state, row.result.error) == (State.FAILED, ErrorCode.INTERNAL_ERROR)


async def test_a_fenced_run_has_no_outcome_and_changes_no_row(parts: RunParts) -> None:
    row = await parts.claim("/f")
    await parts.records.save(replace(row, state=State.QUEUED))
    [current] = await parts.records.claim([row.seq])
    async with asyncio.timeout(CONDITION_TIMEOUT):
        assert await parts.make_run(row).perform() is None
    assert await present(parts.records, row.id) == current
    assert "f" not in parts.files()
    assert (await perform(parts.make_run(current))).state is State.COMPLETED


async def test_an_amended_row_changes_the_control_and_the_request_alone(parts: RunParts) -> None:
    run = parts.make_run(await parts.claim("/f"))
    before = run.download
    run.apply_amended(replace(before.with_control(priority=7).with_progress(received=9), filename="other"))
    assert run.download == before.with_control(priority=7)
    amended = before.with_request(directory="e", part_directory="d", requested_name="n")
    run.apply_amended(amended)
    assert run.download == replace(amended, filename="n")


MOVED = CheckedChange(directory="e", requested_name="n")


def change_before_the_publication(
    parts: RunParts, monkeypatch: pytest.MonkeyPatch, change: CheckedChange
) -> list[Download]:
    """Change the row just before the first write with `publishing`; return the rows as they were written then."""
    save, save_all = parts.records.save, parts.records.save_all
    written: list[Download] = []

    async def note(rows: Sequence[Download]) -> None:
        for row in rows:
            if row.progress.publishing:
                if not written:
                    await parts.records.amend(row.id, partial(amend, change=change))
                written.append(row)

    async def save_late(row: Download) -> Download | None:
        await note([row])
        return await save(row)

    async def save_all_late(rows: Sequence[Download]) -> list[Download | None]:
        await note(rows)
        return await save_all(rows)

    monkeypatch.setattr(parts.records, "save", save_late)
    monkeypatch.setattr(parts.records, "save_all", save_all_late)
    return written


@pytest.mark.parametrize("size", [SIZE, 2 << 20], ids=["small", "long"])
async def test_a_change_just_before_the_publication_holds_for_it(
    parts: RunParts, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    parts.origin.script("/sized", ScriptedResponse(size=size, etag='"v"'))
    written = change_before_the_publication(parts, monkeypatch, MOVED)
    row = await perform(parts.make_run(await parts.claim("/sized")))
    assert (row.state, row.file_path) == (State.COMPLETED, "e/n")
    assert [each.file_path for each in written] == ["d/sized", "e/n"]
    assert {str(path.relative_to(parts.root)) for path in parts.root.rglob("*") if path.is_file()} == {"e/n"}
    assert await present(parts.records, row.id) == row


@pytest.mark.parametrize("is_right", [True, False])
async def test_a_checksum_that_is_given_just_before_the_publication_is_verified(
    parts: RunParts, monkeypatch: pytest.MonkeyPatch, is_right: bool
) -> None:
    digest = hashlib.sha256(expected_bytes(0, 0, SIZE)).hexdigest() if is_right else "0" * 64
    change_before_the_publication(parts, monkeypatch, CheckedChange(requested_checksum=f"sha-256={digest}"))
    row = await perform(parts.make_run(await parts.claim("/f")))
    assert row.state is (State.COMPLETED if is_right else State.FAILED)
    assert list(parts.files()) == (["f"] if is_right else [])


async def test_a_run_uses_the_name_that_an_earlier_one_did_not_learn(parts: RunParts) -> None:
    row = await parts.claim("/f", requested_name="new")
    assert row.filename == "f"
    row = await perform(parts.make_run(row))
    assert (row.state, row.file_path) == (State.COMPLETED, "d/new")


FILMS = PendingRule(name="films", types=("video/*",), directory="films", speed_limit=9_000_000, segments=2)
TEXTS = PendingRule(name="texts", types=("text/*",), directory="texts")


async def test_the_first_response_chooses_the_directory_once(parts: RunParts) -> None:
    parts.origin.script("/f", ScriptedResponse(size=SIZE, content_type="video/mp4", cut_after=0))
    row = await perform(parts.make_run(await parts.claim("/f", pending_rules=(FILMS, TEXTS))))
    assert (row.state, row.request.directory, row.request.pending_rules) == (State.RETRYING, "films", ())
    assert await present(parts.records, row.id) == row
    assert parts.speed_limits == [9_000_000]
    # Its origin states another type now.
    parts.origin.script("/f", ScriptedResponse(size=SIZE, content_type="text/plain"))
    [row] = await parts.records.claim([row.seq])
    row = await perform(parts.make_run(row))
    assert (row.state, row.file_path, row.control.speed_limit) == (State.COMPLETED, "films/f", 9_000_000)
    assert {str(path.relative_to(parts.root)) for path in parts.root.rglob("*") if path.is_file()} == {"films/f"}


async def test_a_response_that_meets_no_rule_is_decided_too(parts: RunParts) -> None:
    row = await perform(parts.make_run(await parts.claim("/f", pending_rules=(FILMS, TEXTS))))
    assert (row.state, row.file_path, row.request.pending_rules) == (State.COMPLETED, "d/f", ())


@pytest.mark.parametrize("conflict", [Conflict.SKIP, Conflict.ERROR])
@pytest.mark.parametrize(("taken", "is_kept"), [("films", True), ("d", False)])
async def test_a_name_must_be_free_in_the_directory_that_the_response_chooses(
    parts: RunParts, conflict: Conflict, taken: str, is_kept: bool
) -> None:
    parts.origin.script("/f", ScriptedResponse(size=SIZE, content_type="video/mp4"))
    (parts.root / taken).mkdir(exist_ok=True)
    (parts.root / taken / "f").write_bytes(b"taken")
    fields = {"conflict": conflict, "requested_name": "f", "pending_rules": (FILMS,)}
    row = await perform(parts.make_run(await parts.claim("/f", **fields)))
    kept = State.SKIPPED if conflict is Conflict.SKIP else State.FAILED
    assert (row.state, row.file_path) == (kept if is_kept else State.COMPLETED, "films/f")
    assert (parts.root / taken / "f").read_bytes() == b"taken"


async def test_a_run_that_lost_its_download_decides_nothing(parts: RunParts) -> None:
    parts.origin.script("/f", ScriptedResponse(size=SIZE, content_type="video/mp4"))
    row = await parts.claim("/f", pending_rules=(FILMS,))
    await parts.records.amend(row.id, lambda present: replace(present, epoch=row.epoch + 1))
    assert await parts.make_run(row).perform() is None
    assert (await present(parts.records, row.id)).request.pending_rules == (FILMS,)


async def test_an_origin_that_redirects_is_reported_as_reachable_though_its_target_is_not(parts: RunParts) -> None:
    origins = OriginMonitor(parts.dispatcher.origins, parts.records.origins)
    await origins.report_failure(parts.origin.url(""), 99, NetworkError("refused", kind=NetworkErrorKind.CONNECT))
    assert await parts.records.origins.load() != []
    async with Origin() as target:
        url, name = target.url("/f"), target.url("")
    parts.origin.script("/r", redirect(url))
    row = await perform(parts.make_run(await parts.claim("/r"), slots=FakeSlots()))
    assert (row.state, row.result.error) == (State.RETRYING, ErrorCode.NETWORK_ERROR)
    states = {one.origin: one.state for one in (await parts.dispatcher.origins.listing(9)).origins}
    assert states == {name: OriginState.OPEN}


async def test_each_origin_of_a_redirect_is_reported_once_when_it_has_answered(
    parts: RunParts, monkeypatch: pytest.MonkeyPatch
) -> None:
    reported: list[tuple[str, bool]] = []

    def report_answer(origin: str, seq: int, *, is_redirect: bool = False) -> bool:
        reported.append((origin, is_redirect))
        return False

    monkeypatch.setattr(parts.dispatcher.origins, "report_answer", report_answer)
    async with Origin() as target:
        target.script("/f", ScriptedResponse(size=SIZE))
        parts.origin.script("/r", redirect(target.url("/f")))
        row = await perform(parts.make_run(await parts.claim("/r"), slots=FakeSlots()))
        assert row.state is State.COMPLETED
        assert sorted(reported) == sorted([(parts.origin.url(""), True), (target.url(""), False)])
