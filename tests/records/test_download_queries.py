"""Reading statements of the table of downloads."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest
from records.contract import sample_download
from support.downloads import with_fields

from downloadd.download import Download
from downloadd.records.download_changes import DownloadChanges
from downloadd.records.download_queries import (
    DownloadQueries,
    count_by_state,
    created_at,
    last_ended_seq,
    last_used_ended_seq,
)
from downloadd.records.history import active_query
from downloadd.records.protocol import ActiveFilter, PartOwner, WaitingDownload
from downloadd.records.schema import apply_migrations, shipped_migrations
from downloadd.states import State

QUERIES = DownloadQueries()


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as opened:
        apply_migrations(opened, shipped_migrations(), 0)
        yield opened


def insert(connection: sqlite3.Connection, *downloads: Download) -> list[Download]:
    changes = DownloadChanges(QUERIES, lambda download: ())
    changes.open(connection)
    for download in downloads:
        changes.accept(connection.cursor(), [download], None, now=0.0, ends=[])
    return [row for one in downloads if (row := QUERIES.by_id(connection, one.id)) is not None]


def test_downloads_are_found_by_id_and_seq(connection: sqlite3.Connection) -> None:
    rows = insert(connection, sample_download(), sample_download())
    assert QUERIES.by_seqs(connection, [row.seq for row in rows]) == rows
    assert QUERIES.by_id(connection, "unknown") is None


def test_a_page_takes_known_downloads_without_reading_them(connection: sqlite3.Connection) -> None:
    first, second = insert(connection, sample_download(), sample_download())
    known = {first.seq: with_fields(first, received=7)}
    query = active_query(ActiveFilter())
    assert QUERIES.page(connection, query, known) == [known[first.seq], second]
    connection.execute("UPDATE downloads SET state = 'damaged' WHERE seq = ?", (first.seq,))
    connection.execute("DELETE FROM downloads WHERE seq = ?", (second.seq,))
    assert QUERIES.page(connection, query, known) == [known[first.seq]]


def test_waiting_downloads_come_in_pages(connection: sqlite3.Connection) -> None:
    rows = insert(connection, *(sample_download(priority=n) for n in range(3)), sample_download(state=State.PAUSED))
    page = QUERIES.waiting(connection, after_seq=rows[0].seq, limit=5)
    assert page == [
        WaitingDownload(seq=row.seq, origin="https://example.com", priority=row.control.priority, user="ann")
        for row in rows[1:3]
    ]


def test_a_damaged_waiting_download_is_left_out(connection: sqlite3.Connection) -> None:
    rows = insert(connection, sample_download(), sample_download())
    connection.execute("UPDATE downloads SET priority = 'high' WHERE seq = ?", (rows[0].seq,))
    assert [one.seq for one in QUERIES.waiting(connection, after_seq=0, limit=1)] == [rows[1].seq]


def test_part_owners_are_active_or_keep_a_part_and_are_unknown_if_damaged(connection: sqlite3.Connection) -> None:
    active, kept, finished, damaged = insert(
        connection,
        sample_download(part_name="p"),
        sample_download(state=State.FAILED, part_name="p"),
        sample_download(state=State.FAILED),
        sample_download(part_name="p"),
    )
    connection.execute("UPDATE downloads SET epoch = 'x' WHERE seq = ?", (damaged.seq,))
    assert QUERIES.part_owners(connection, [active.id, kept.id, finished.id, damaged.id, "unknown"]) == {
        active.id: PartOwner(state=State.QUEUED, epoch=0, part_name="p"),
        kept.id: PartOwner(state=State.FAILED, epoch=0, part_name="p"),
        damaged.id: PartOwner(state=None, epoch=0, part_name=None),
    }


def test_counts_and_numbers_of_an_empty_database_are_0(connection: sqlite3.Connection) -> None:
    assert (count_by_state(connection), last_ended_seq(connection), created_at(connection)) == ({}, 0, None)


def test_withdrawn_numbers_count_as_used(connection: sqlite3.Connection) -> None:
    insert(connection, sample_download(state=State.FAILED), sample_download(state=State.PAUSED))
    connection.execute("UPDATE withdrawn SET ended_seq = 9")
    assert (last_ended_seq(connection), last_used_ended_seq(connection)) == (1, 9)
    assert count_by_state(connection) == {State.PAUSED: 1}


def test_a_damaged_time_of_creation_is_ignored(connection: sqlite3.Connection) -> None:
    connection.executemany("INSERT INTO birth VALUES (?)", [("x",), (5.0,), (3.0,)])
    assert created_at(connection) == 3.0
