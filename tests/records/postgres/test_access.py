"""Access to the database."""

from support.stored_downloads import added, sample_download

from downloadd.records.postgres.access import execute_counted
from downloadd.records.postgres.records import PostgresRecords


async def test_a_statement_returns_the_number_of_rows_that_it_changed(
    stores: tuple[PostgresRecords, PostgresRecords],
) -> None:
    store, _ = stores
    await added(store, *(sample_download() for _ in range(3)))
    changed = await store.write(lambda connection: execute_counted(connection, "UPDATE downloads SET turn = 0"))
    kept = await store.write(lambda connection: execute_counted(connection, "DELETE FROM downloads WHERE seq < 0"))
    assert (changed, kept) == (3, 0)
