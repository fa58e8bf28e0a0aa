"""Rows that another program has changed to something unreadable."""

import asyncpg
import pytest
from structlog.testing import capture_logs
from support.clocks import ManualClock
from support.stored_downloads import added, ids, sample_download

from downloadd.errors import StorageError
from downloadd.records.postgres.records import PostgresRecords
from downloadd.records.protocol import ActiveFilter, HistoryFilter, PartOwner
from downloadd.states import State


async def test_a_damaged_row_is_left_out_logged_once_and_not_changed(database: str) -> None:
    async with PostgresRecords(database, ManualClock()) as records:
        rows = await added(records, *(sample_download() for _ in range(5)))
        damaged = rows[1]

        async def damage(connection: asyncpg.Connection) -> None:
            await connection.execute("UPDATE downloads SET conflict = 'nonsense' WHERE id = $1", damaged.id)

        await records.write(damage)
        with capture_logs() as lines:
            for _ in range(2):
                # The next one takes its place.
                assert ids(await records.active(ActiveFilter(limit=3))) == ids([rows[0], *rows[2:4]])
                assert ids(await records.active(ActiveFilter(limit=4))) == ids([rows[0], *rows[2:]])
            assert await records.claim([damaged.seq]) == []
        assert [line["event"] for line in lines] == ["row_corrupt"]
        assert damaged.id in lines[0]["detail"]
        with pytest.raises(StorageError, match=damaged.id):
            await records.get(damaged.id)
        with pytest.raises(StorageError, match=damaged.id):
            await records.amend(damaged.id, lambda row: row)
        conflict = await records.read(
            lambda connection: connection.fetchval("SELECT conflict FROM downloads WHERE id = $1", damaged.id)
        )
        assert conflict == "nonsense"


async def test_the_owner_of_a_part_file_of_a_damaged_row_is_unknown(database: str) -> None:
    async with PostgresRecords(database, ManualClock()) as records:
        (row,) = await added(records, sample_download(part_name="p"))
        await records.write(lambda connection: connection.execute("UPDATE downloads SET state = 'nonsense'"))
        assert await records.part_owners([row.id]) == {row.id: PartOwner(state=None, epoch=0, part_name=None)}
        assert await records.counts() == {}
        assert await records.history(HistoryFilter(state=State.FAILED)) == []
