"""Writes of a run to its row."""

import asyncio
from collections.abc import Callable
from typing import cast

import pytest
from msgspec.structs import replace
from records.contract import ManualClock
from support.sample_downloads import sample_download
from support.waiting import CONDITION_TIMEOUT

from downloadd.download import Download
from downloadd.errors import StorageError, StoreUnavailableError
from downloadd.manager.row_writer import FencedError, RowWriter
from downloadd.manager.run_timer import RunTimer
from downloadd.records import availability
from downloadd.records.protocol import Records
from downloadd.states import State

ROW = sample_download()


class ScriptedRecords:
    """Records whose `save` is scripted by a test."""

    def __init__(self) -> None:
        self.save_row: Callable[[Download], Download | None] = lambda row: row
        self.saves = 0
        self.row: Download | None = ROW
        self.refusals = 0

    async def amend(self, id: str, change: Callable[[Download], Download]) -> tuple[Download, Download] | None:
        if self.refusals:
            self.refusals -= 1
            raise StoreUnavailableError("locked")
        if self.row is None:
            return None
        before, self.row = self.row, change(self.row)
        return before, self.row

    async def save(self, row: Download) -> Download | None:
        self.saves += 1
        return self.save_row(row)


@pytest.fixture
def records() -> ScriptedRecords:
    return ScriptedRecords()


@pytest.fixture
def writer(records: ScriptedRecords) -> RowWriter:
    return RowWriter(cast("Records", records), RunTimer(ManualClock(), timeout=0, spent_before=0))


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(availability, "MIN_PAUSE_SECONDS", 0.001)


async def test_the_row_of_the_records_is_returned(writer: RowWriter) -> None:
    assert await writer.save(ROW) is ROW
    assert not writer.has_waited


async def test_a_run_learns_the_request_that_a_user_has_changed(records: ScriptedRecords, writer: RowWriter) -> None:
    changed = ROW.with_request(requested_name="n", directory="e")
    records.save_row = lambda row: replace(row, request=changed.request)
    saved = await writer.save(ROW.with_progress(received=3))
    assert saved == replace(changed.with_progress(received=3), filename="n")


async def test_a_row_that_is_held_by_another_run_is_fenced(records: ScriptedRecords, writer: RowWriter) -> None:
    records.save_row = lambda row: None
    with pytest.raises(FencedError):
        await writer.save(ROW)


async def test_another_error_is_raised(records: ScriptedRecords, writer: RowWriter) -> None:
    def fail(row: Download) -> Download:
        raise StorageError("broken")

    records.save_row = fail
    with pytest.raises(StorageError):
        await writer.save(ROW)
    assert not writer.is_waiting


async def test_unavailable_records_are_waited_for(records: ScriptedRecords, writer: RowWriter) -> None:
    waiting: list[bool] = []

    def refuse_twice(row: Download) -> Download:
        waiting.append(writer.is_waiting)
        if records.saves < 3:
            raise StoreUnavailableError("locked")
        return row

    records.save_row = refuse_twice
    assert await writer.save(ROW) is ROW
    assert waiting == [False, True, True]
    assert (writer.is_waiting, writer.has_waited) == (False, True)


async def test_a_cancelled_task_does_not_wait_for_the_records(records: ScriptedRecords, writer: RowWriter) -> None:
    def refuse(row: Download) -> Download:
        raise StoreUnavailableError("locked")

    records.save_row = refuse

    async def save_despite_cancel() -> None:
        with pytest.raises(asyncio.CancelledError):
            await asyncio.sleep(3600)
        await writer.save(ROW)

    task = asyncio.create_task(save_despite_cancel())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        async with asyncio.timeout(CONDITION_TIMEOUT):
            await task
    assert records.saves == 1


async def test_a_change_of_the_request_is_made_of_the_present_row(records: ScriptedRecords, writer: RowWriter) -> None:
    records.row, records.refusals = ROW.with_control(priority=5), 2
    changed = await writer.change(ROW, lambda row: row.with_request(directory="e"))
    assert changed == ROW.with_control(priority=5).with_request(directory="e")
    assert (writer.is_waiting, writer.has_waited) == (False, True)


@pytest.mark.parametrize("row", [None, replace(ROW, epoch=9), replace(ROW, state=State.CANCELLED)])
async def test_a_row_of_another_run_is_not_changed(
    records: ScriptedRecords, writer: RowWriter, row: Download | None
) -> None:
    records.row = row
    with pytest.raises(FencedError):
        await writer.change(ROW, lambda row: row.with_request(directory="e"))
    assert records.row is row
