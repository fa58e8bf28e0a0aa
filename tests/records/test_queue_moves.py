"""Moves in the waiting list, on a database."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest
from records.contracts.queue_moves import QueueMoveContract
from support.downloads import with_fields
from support.stored_downloads import sample_download

from downloadd.download import Download
from downloadd.queue_move import TO_TOP, QueueMove
from downloadd.records.download_changes import DownloadChanges
from downloadd.records.download_queries import DownloadQueries
from downloadd.records.protocol import NO_POSITIONS, AcceptResult
from downloadd.records.queue_moves import FROM_THE_END, IN_ORDER, LISTED, MovedDownload, QueueMoves
from downloadd.records.schema import apply_migrations, shipped_migrations

QUERIES = DownloadQueries()


class WaitingList:
    """A database with some downloads, which are named by their `seq`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        apply_migrations(connection, shipped_migrations(), 0)
        self.cursor = connection.cursor()
        self.changes = DownloadChanges(QUERIES, lambda download: ())
        self.changes.open(connection)
        self.moves = QueueMoves(QUERIES)

    def add(self, *downloads: Download) -> None:
        result = self.changes.accept(self.cursor, downloads, None, NO_POSITIONS, now=0, ends=[])
        assert isinstance(result, AcceptResult)

    def move(self, seq: int, move: QueueMove) -> MovedDownload:
        (id,) = self.cursor.execute("SELECT id FROM downloads WHERE seq = ?", (seq,)).fetchone()
        moved = self.moves.move(self.cursor, id, move, lambda row: None)
        assert isinstance(moved, MovedDownload)
        return moved

    def order(self) -> list[int]:
        order = [seq for (seq,) in self.cursor.execute(f"SELECT seq {LISTED} {IN_ORDER}")]
        assert order == [seq for (seq,) in self.cursor.execute(f"SELECT seq {LISTED} {FROM_THE_END}")][::-1]
        return order


@pytest.fixture
def waiting() -> Iterator[WaitingList]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        yield WaitingList(connection)


class TestSqliteQueueMoves(QueueMoveContract):
    """The contract, kept by SQLite."""


def test_a_damaged_neighbour_does_not_stop_moves(waiting: WaitingList) -> None:
    waiting.add(*(sample_download() for _ in range(4)))
    waiting.cursor.execute("UPDATE downloads SET place = 'nowhere' WHERE seq = 2")
    waiting.move(4, TO_TOP)
    assert [seq for seq in waiting.order() if seq != 2] == [4, 1, 3]


def test_the_waiting_list_is_read_from_its_index_only(waiting: WaitingList) -> None:
    waiting.add(*(with_fields(sample_download(), place=5.0 - number) for number in range(3)))
    program = waiting.cursor.execute(f"EXPLAIN SELECT seq {LISTED} {IN_ORDER} LIMIT 2 OFFSET 1").fetchall()
    # A column that is read from the row, and not from the index, needs the row itself.
    assert not [opcode for _, opcode, cursor, *_ in program if opcode == "Column" and cursor == 0]
    assert not [opcode for _, opcode, *_ in program if opcode.startswith("Sorter")]
    assert waiting.order() == [3, 2, 1]
