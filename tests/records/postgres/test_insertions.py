"""Insertion of downloads."""

from support.clocks import ManualClock
from support.downloads import with_fields
from support.stored_downloads import added, sample_download

from downloadd.records.postgres.insertions import next_seqs
from downloadd.records.postgres.records import PostgresRecords
from downloadd.states import State


async def test_downloads_of_all_kinds_are_numbered_in_their_order(database: str) -> None:
    async with PostgresRecords(database, ManualClock()) as records:
        rows = await added(
            records,
            sample_download(),
            sample_download(state=State.FAILED),
            with_fields(sample_download(), received=5),
            sample_download(directory="d\0\udcff"),
            sample_download(state=State.COMPLETED),
        )
        assert [row.seq for row in rows] == [1, 2, 3, 4, 5]
        assert [row.result.ended_seq for row in rows] == [None, 1, None, None, 2]
        assert await records.write(lambda connection: next_seqs(connection, 2)) == [6, 7]
