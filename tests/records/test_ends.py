"""Ends of downloads that the records hand over."""

from pathlib import Path

from msgspec.structs import replace
from support.clocks import ManualClock
from support.stored_downloads import added, claimed, sample_download

from downloadd.records.ends import RecordedEnd
from downloadd.records.sqlite import SqliteRecords
from downloadd.states import State


async def test_the_state_before_is_that_of_a_row_that_was_amended(tmp_path: Path) -> None:
    ends: list[RecordedEnd] = []
    async with SqliteRecords(tmp_path, ManualClock()) as records:
        records.set_end_listener(ends.extend)
        await added(records, sample_download(state=State.FAILED))
        await records.save(replace(await claimed(records, sample_download()), state=State.COMPLETED))
        (waiting,) = await added(records, sample_download())
        await records.amend(waiting.id, lambda row: replace(row, state=State.CANCELLED))
    assert [end.before for end in ends] == [None, None, State.QUEUED]
    assert [end.download.result.ended_seq for end in ends] == [1, 2, 3]
