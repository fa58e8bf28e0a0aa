"""Reading statements of the table of downloads."""

from support.clocks import ManualClock
from support.stored_downloads import added, sample_download

from downloadd.records.postgres.download_queries import DownloadQueries, count_ended, last_used_seq
from downloadd.records.postgres.records import PostgresRecords
from downloadd.records.protocol import HistoryFilter
from downloadd.states import State


async def test_the_greatest_number_that_was_assigned_outlives_its_download(database: str) -> None:
    async with PostgresRecords(database, ManualClock()) as records:
        assert await records.read(last_used_seq) == 0
        rows = await added(records, sample_download(), sample_download(state=State.FAILED))
        await records.remove_ended(await records.ended_rows(HistoryFilter()))
        assert await records.read(last_used_seq) == rows[1].seq
        assert await records.read(count_ended) == 0


async def test_rows_are_returned_in_the_order_of_acceptance(database: str) -> None:
    async with PostgresRecords(database, ManualClock()) as records:
        rows = await added(records, *(sample_download() for _ in range(5)))
        seqs = [row.seq for row in rows]
        assert await records.read(lambda connection: DownloadQueries().by_seqs(connection, seqs[::-1])) == rows
