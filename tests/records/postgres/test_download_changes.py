"""Writing statements of the table of downloads."""

from msgspec.structs import replace
from support.clocks import ManualClock
from support.downloads import with_fields
from support.stored_downloads import added, claimed, ids, sample_download

from downloadd.records.postgres.records import PostgresRecords
from downloadd.records.protocol import HistoryFilter
from downloadd.states import State


async def test_a_search_finds_an_end_by_the_name_that_it_has_now(database: str) -> None:
    async with PostgresRecords(database, ManualClock()) as records:
        held = await claimed(records, sample_download(filename="before.csv"))
        ended = await records.save(replace(held, state=State.COMPLETED, filename="ÄFTER\udcff\0.csv"))
        assert ended is not None
        assert ids(await records.history(HistoryFilter(contains="äfter\udcff\0"))) == [held.id]
        assert await records.history(HistoryFilter(contains="before")) == []
        # A search of active downloads would cost each note of progress.
        (active,) = await added(records, sample_download(filename="active.csv"))
        assert await records.history(HistoryFilter(contains="active")) == []
        await records.amend(active.id, lambda row: with_fields(row, state=State.CANCELLED, filename="x\\_%"))
        assert ids(await records.history(HistoryFilter(contains="\\_%"))) == [active.id]


async def test_secret_urls_are_stored_only_when_they_differ(database: str) -> None:
    async with PostgresRecords(database, ManualClock()) as records:
        plain = sample_download()
        secret = with_fields(sample_download(), url="https://u:p@example.com/", redacted_url="https://example.com/")
        await records.accept([plain, secret])
        rows = await records.read(lambda connection: connection.fetch("SELECT id, secret_url FROM downloads"))
    assert dict(rows) == {plain.id: None, secret.id: secret.request.url}
