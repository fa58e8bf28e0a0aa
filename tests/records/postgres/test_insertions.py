"""Insertion of downloads."""

import asyncpg
from support.clocks import ManualClock
from support.downloads import with_fields
from support.stored_downloads import added, sample_download

from downloadd.records.postgres.insertions import MAX_STATEMENT_ROWS, insert_downloads, next_seqs
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


async def test_many_downloads_are_inserted_by_several_statements(database: str) -> None:
    sizes: list[int] = []

    def log(logged: asyncpg.connection.LoggedQuery) -> None:
        if logged.query.startswith("INSERT INTO downloads"):
            sizes.append(len(logged.args[0]))

    async def insert(connection: asyncpg.Connection) -> None:
        downloads = [sample_download() for _ in range(MAX_STATEMENT_ROWS + 1)]
        seqs = await next_seqs(connection, len(downloads))
        with connection.query_logger(log):
            await insert_downloads(connection, downloads, seqs)

    async with PostgresRecords(database, ManualClock()) as records:
        await records.write(insert)
        assert sizes == [MAX_STATEMENT_ROWS, 1]
        assert sum((await records.counts()).values()) == MAX_STATEMENT_ROWS + 1
