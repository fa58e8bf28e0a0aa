"""Detection of a restart of the machine."""

from support.clocks import ManualClock
from support.downloads import with_fields
from support.stored_downloads import added, present, sample_download

from downloadd.records.postgres.address import DatabaseAddress
from downloadd.records.postgres.boot import record_boot
from downloadd.records.postgres.records import PostgresRecords


async def test_after_another_boot_part_files_end_at_their_last_checkpoint(database: str) -> None:
    async with PostgresRecords(database, ManualClock()) as records:
        begun = with_fields(sample_download(part_name="p"), received=7)
        ranged = with_fields(sample_download(part_name="p"), received=7, received_ranges="3-9")
        rows = await added(records, begun, ranged, sample_download())
        connection = await DatabaseAddress(database).connect()
        await record_boot(connection, "one")
        assert [(await present(records, row.id)).progress.received_ranges for row in rows] == ["0-7", "3-9", None]
        later = (await added(records, with_fields(sample_download(part_name="q"), received=5)))[0]
        await record_boot(connection, "one")
        assert (await present(records, later.id)).progress.received_ranges is None
        await record_boot(connection, None)
        await connection.close()
        assert (await present(records, later.id)).progress.received_ranges == "0-5"
