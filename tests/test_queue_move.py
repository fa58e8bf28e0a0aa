"""Moves in the waiting list."""

from downloadd.queue_move import DOWN, TO_BOTTOM, TO_TOP, UP, QueueMove, QueueOrigin


def test_named_moves_count_from_the_place_that_they_are_named_for() -> None:
    assert {TO_TOP.origin, TO_BOTTOM.origin} == {QueueOrigin.START, QueueOrigin.END}
    assert {UP.origin, DOWN.origin} == {QueueOrigin.CURRENT}
    assert [move.offset for move in (TO_TOP, UP, DOWN, TO_BOTTOM)] == [0, -1, 1, 0]


def test_a_move_counts_from_the_start_by_default() -> None:
    assert QueueMove(offset=3) == QueueMove(offset=3, origin=QueueOrigin.START)
