"""Writing statements of the table of downloads."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing

import pytest
from msgspec.structs import replace
from records.contract import NOW, make_response, sample_download
from support.downloads import with_fields

from downloadd.delivery import Delivery
from downloadd.download import Desired, Download
from downloadd.errors import IdempotencyKeyReusedError
from downloadd.records.download_changes import DownloadChanges
from downloadd.records.download_queries import DownloadQueries
from downloadd.records.ends import RecordedEnd
from downloadd.records.protocol import AcceptResult
from downloadd.records.schema import apply_migrations, shipped_migrations
from downloadd.records.writer import Rejection
from downloadd.states import State

QUERIES = DownloadQueries()


def make_deliveries(download: Download) -> Sequence[Delivery]:
    assert download.result.ended_seq is not None
    return [Delivery(event_id=download.id, hook="h", download_id=download.id, body=b"", created=NOW, due=NOW)]


@pytest.fixture
def cursor() -> Iterator[sqlite3.Cursor]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        apply_migrations(connection, shipped_migrations(), 0)
        yield connection.cursor()


@pytest.fixture
def changes(cursor: sqlite3.Cursor) -> DownloadChanges:
    changes = DownloadChanges(QUERIES, make_deliveries)
    changes.open(cursor.connection)
    return changes


def accept(changes: DownloadChanges, cursor: sqlite3.Cursor, *downloads: Download) -> list[Download]:
    result = changes.accept(cursor, downloads, None, now=NOW, ends=[])
    assert isinstance(result, AcceptResult)
    return QUERIES.by_seqs(cursor.connection, result.seqs)


def deliveries(cursor: sqlite3.Cursor) -> int:
    count: int = cursor.execute("SELECT count(*) FROM deliveries").fetchone()[0]
    return count


def test_a_refused_download_gets_a_number_and_its_deliveries(changes: DownloadChanges, cursor: sqlite3.Cursor) -> None:
    queued, failed = accept(changes, cursor, sample_download(), sample_download(state=State.FAILED))
    assert (queued.result.ended_seq, failed.result.ended_seq) == (None, 1)
    assert deliveries(cursor) == 1


def test_a_repeated_key_returns_the_first_response(changes: DownloadChanges, cursor: sqlite3.Cursor) -> None:
    changes.accept(cursor, [sample_download()], make_response(), now=NOW, ends=[])
    again = changes.accept(cursor, [sample_download()], make_response(), now=NOW, ends=[])
    assert again == AcceptResult(replayed=make_response())
    other = changes.accept(cursor, [sample_download()], make_response(fingerprint=b"x"), now=NOW, ends=[])
    assert isinstance(other, Rejection)
    assert isinstance(other.error, IdempotencyKeyReusedError)
    assert cursor.execute("SELECT count(*) FROM downloads").fetchone() == (1,)


def test_a_claim_takes_waiting_downloads_that_should_run(changes: DownloadChanges, cursor: sqlite3.Cursor) -> None:
    rows = accept(
        changes,
        cursor,
        sample_download(),
        sample_download(desired=Desired.PAUSE),
        sample_download(state=State.PAUSED),
    )
    seqs = [row.seq for row in rows]
    [claimed] = changes.claim(cursor, [*seqs, seqs[0], 99])
    assert (claimed.seq, claimed.epoch, claimed.progress.attempt) == (seqs[0], 1, 1)
    assert changes.claim(cursor, seqs) == []


def test_only_the_epoch_of_the_run_may_save(changes: DownloadChanges, cursor: sqlite3.Cursor) -> None:
    [row] = accept(changes, cursor, sample_download())
    [claimed] = changes.claim(cursor, [row.seq])
    assert changes.save(cursor, replace(claimed, epoch=7), []) is None
    finished = changes.save(cursor, replace(claimed, state=State.COMPLETED), [])
    assert finished is not None
    assert finished.result.ended_seq == 1
    assert deliveries(cursor) == 1
    assert changes.save(cursor, claimed, []) is None


def test_an_amended_end_keeps_its_number_and_a_retry_withdraws_it(
    changes: DownloadChanges, cursor: sqlite3.Cursor
) -> None:
    [row] = accept(changes, cursor, sample_download(state=State.FAILED))
    amended = changes.amend(cursor, row.id, lambda before: with_fields(before, detail="seen"), [])
    assert isinstance(amended, tuple)
    assert amended[1].result.ended_seq == 1
    assert deliveries(cursor) == 1
    changes.amend(cursor, row.id, lambda before: replace(before, state=State.QUEUED), [])
    ends: list[RecordedEnd] = []
    ended = changes.amend(cursor, row.id, lambda before: replace(before, state=State.CANCELLED), ends)
    assert isinstance(ended, tuple)
    assert ends == [RecordedEnd(download=ended[1], before=State.QUEUED)]
    assert ended[1].result.ended_seq == 2
    assert deliveries(cursor) == 2
    restarted = DownloadChanges(QUERIES, make_deliveries)
    restarted.open(cursor.connection)
    [failed] = accept(restarted, cursor, sample_download(state=State.FAILED))
    assert failed.result.ended_seq == 3


def test_a_change_that_raises_or_moves_the_row_is_rejected(changes: DownloadChanges, cursor: sqlite3.Cursor) -> None:
    [row] = accept(changes, cursor, sample_download())

    def fail(before: Download) -> Download:
        raise LookupError

    for change, kind in ((fail, LookupError), (lambda before: replace(before, id="other"), ValueError)):
        rejected = changes.amend(cursor, row.id, change, [])
        assert isinstance(rejected, Rejection)
        assert isinstance(rejected.error, kind)
    assert changes.amend(cursor, "unknown", fail, []) is None
    assert QUERIES.by_id(cursor.connection, row.id) == row
