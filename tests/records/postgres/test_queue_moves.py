"""Moves in the waiting list."""

from records.contracts.queue_moves import QueueMoveContract


class TestPostgresQueueMove(QueueMoveContract):
    """The contract, kept by PostgreSQL."""
