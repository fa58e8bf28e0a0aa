"""Moves in the waiting list, on a database."""

import random
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing

import pytest
from support.downloads import with_fields
from support.stored_downloads import sample_download

from downloadd.download import Desired, Download
from downloadd.errors import InvalidStateError
from downloadd.queue_move import DOWN, TO_BOTTOM, TO_TOP, UP, QueueMove, QueueOrigin
from downloadd.records.download_changes import DownloadChanges
from downloadd.records.download_queries import DownloadQueries
from downloadd.records.protocol import NO_POSITIONS, AcceptResult
from downloadd.records.queue_moves import FROM_THE_END, IN_ORDER, LISTED, MovedDownload, QueueMoves
from downloadd.records.schema import apply_migrations, shipped_migrations
from downloadd.records.writer import Rejection
from downloadd.states import State

QUERIES = DownloadQueries()


class WaitingList:
    """A database with some downloads, which are named by their `seq`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        apply_migrations(connection, shipped_migrations(), 0)
        self.cursor = connection.cursor()
        self.changes = DownloadChanges(QUERIES, lambda download: ())
        self.changes.open(connection)
        self.moves = QueueMoves(QUERIES)

    def add(self, *downloads: Download, at: Mapping[int, int] = NO_POSITIONS) -> list[int]:
        result = self.changes.accept(self.cursor, downloads, None, at, now=0, ends=[])
        assert isinstance(result, AcceptResult)
        return list(result.seqs)

    def move(self, seq: int, move: QueueMove) -> MovedDownload:
        (id,) = self.cursor.execute("SELECT id FROM downloads WHERE seq = ?", (seq,)).fetchone()
        moved = self.moves.move(self.cursor, id, move, lambda row: None)
        assert isinstance(moved, MovedDownload)
        assert moved.after == QUERIES.by_id(self.cursor.connection, id)
        assert self.order()[moved.index] == seq
        return moved

    def order(self) -> list[int]:
        order = [seq for (seq,) in self.cursor.execute(f"SELECT seq {LISTED} {IN_ORDER}")]
        assert order == [seq for (seq,) in self.cursor.execute(f"SELECT seq {LISTED} {FROM_THE_END}")][::-1]
        return order


@pytest.fixture
def waiting() -> Iterator[WaitingList]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        yield WaitingList(connection)


@pytest.mark.parametrize(
    ("seq", "move", "index", "order"),
    [
        (3, TO_TOP, 0, [3, 1, 2, 4, 5]),
        (3, UP, 1, [1, 3, 2, 4, 5]),
        (3, DOWN, 3, [1, 2, 4, 3, 5]),
        (3, TO_BOTTOM, 4, [1, 2, 4, 5, 3]),
        (1, UP, 0, [1, 2, 3, 4, 5]),
        (5, DOWN, 4, [1, 2, 3, 4, 5]),
        (2, QueueMove(offset=3), 3, [1, 3, 4, 2, 5]),
        (2, QueueMove(offset=99), 4, [1, 3, 4, 5, 2]),
        (2, QueueMove(offset=-1), 0, [2, 1, 3, 4, 5]),
        (2, QueueMove(offset=2, origin=QueueOrigin.CURRENT), 3, [1, 3, 4, 2, 5]),
        (4, QueueMove(offset=-2, origin=QueueOrigin.CURRENT), 1, [1, 4, 2, 3, 5]),
        (4, QueueMove(offset=-99, origin=QueueOrigin.CURRENT), 0, [4, 1, 2, 3, 5]),
        (4, QueueMove(offset=99, origin=QueueOrigin.CURRENT), 4, [1, 2, 3, 5, 4]),
        (4, QueueMove(offset=-1, origin=QueueOrigin.END), 3, [1, 2, 3, 4, 5]),
        (1, QueueMove(offset=-1, origin=QueueOrigin.END), 3, [2, 3, 4, 1, 5]),
        (1, QueueMove(offset=7, origin=QueueOrigin.END), 4, [2, 3, 4, 5, 1]),
        (5, QueueMove(offset=-99, origin=QueueOrigin.END), 0, [5, 1, 2, 3, 4]),
    ],
)
def test_a_download_stands_at_the_index_that_a_move_states(
    waiting: WaitingList, seq: int, move: QueueMove, index: int, order: list[int]
) -> None:
    waiting.add(*(sample_download() for _ in range(5)))
    moved = waiting.move(seq, move)
    assert moved.index == index
    assert waiting.order() == order
    assert [one.seq for one in moved.changed] == ([] if order == [1, 2, 3, 4, 5] else [seq])


def test_the_waiting_list_has_queued_and_paused_downloads_and_those_that_are_being_paused(waiting: WaitingList) -> None:
    seqs = waiting.add(
        sample_download(state=State.PAUSED, desired=Desired.PAUSE),
        sample_download(state=State.DOWNLOADING),
        sample_download(state=State.DOWNLOADING, desired=Desired.PAUSE),
        sample_download(state=State.RETRYING),
        sample_download(priority=1),
        sample_download(state=State.FAILED, desired=Desired.PAUSE),
    )
    assert waiting.order() == [seqs[4], seqs[0], seqs[2]]


def test_the_new_neighbours_give_their_priority(waiting: WaitingList) -> None:
    waiting.add(*(sample_download(priority=priority) for priority in (9, 5, 0)))
    assert waiting.move(3, TO_TOP).after.control.priority == 9
    assert waiting.move(3, DOWN).after.control.priority == 9
    assert waiting.move(1, TO_BOTTOM).after.control.priority == 5
    assert waiting.order() == [3, 2, 1]


def test_a_download_is_inserted_at_a_position(waiting: WaitingList) -> None:
    waiting.add(*(sample_download() for _ in range(3)))
    waiting.add(*(sample_download() for _ in range(4)), at={0: 0, 1: 0, 3: 9_999})
    assert waiting.order() == [5, 4, 1, 2, 3, 6, 7]


def test_a_check_that_fails_moves_nothing(waiting: WaitingList) -> None:
    def refuse(row: Download) -> None:
        raise InvalidStateError("it runs")

    download = sample_download()
    waiting.add(sample_download(), download)
    rejection = waiting.moves.move(waiting.cursor, download.id, TO_TOP, refuse)
    assert isinstance(rejection, Rejection)
    assert isinstance(rejection.error, InvalidStateError)
    assert waiting.order() == [1, 2]
    assert waiting.moves.move(waiting.cursor, "unknown", TO_TOP, lambda row: None) is None


def test_a_damaged_neighbour_does_not_stop_moves(waiting: WaitingList) -> None:
    waiting.add(*(sample_download() for _ in range(4)))
    waiting.cursor.execute("UPDATE downloads SET place = 'nowhere' WHERE seq = 2")
    waiting.move(4, TO_TOP)
    assert [seq for seq in waiting.order() if seq != 2] == [4, 1, 3]


def test_many_moves_between_the_same_two_space_their_neighbours_again(waiting: WaitingList) -> None:
    waiting.add(*(sample_download() for _ in range(300)))
    spaced = 0
    order = waiting.order()
    for _ in range(200):
        moved = waiting.move(order[-1], QueueMove(offset=1))
        spaced += len(moved.changed) > 1
        order.insert(1, order.pop())
        assert waiting.order() == order
    assert 0 < spaced < 20
    assert waiting.add(sample_download()) == [301]
    assert waiting.order() == [*order, 301]


def test_random_moves_and_positions_give_the_order_of_a_list(waiting: WaitingList) -> None:
    chance = random.Random(16)
    model: list[int] = []
    for _ in range(400):
        if not model or chance.random() < 0.2:
            position = chance.randint(0, len(model))
            model.insert(position, *waiting.add(sample_download(), at={0: position}))
            continue
        seq, offset = chance.choice(model), chance.randint(-3, 3)
        origin = chance.choice(list(QueueOrigin))
        base = {QueueOrigin.START: 0, QueueOrigin.CURRENT: model.index(seq), QueueOrigin.END: len(model) - 1}[origin]
        model.remove(seq)
        model.insert(min(max(0, base + offset), len(model)), seq)
        waiting.move(seq, QueueMove(offset=offset, origin=origin))
        assert waiting.order() == model


def test_the_waiting_list_is_read_from_its_index_only(waiting: WaitingList) -> None:
    waiting.add(*(with_fields(sample_download(), place=5.0 - number) for number in range(3)))
    program = waiting.cursor.execute(f"EXPLAIN SELECT seq {LISTED} {IN_ORDER} LIMIT 2 OFFSET 1").fetchall()
    # A column that is read from the row, and not from the index, needs the row itself.
    assert not [opcode for _, opcode, cursor, *_ in program if opcode == "Column" and cursor == 0]
    assert not [opcode for _, opcode, *_ in program if opcode.startswith("Sorter")]
    assert waiting.order() == [3, 2, 1]
