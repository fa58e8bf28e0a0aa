"""The waiting list."""

from records.contracts.queue import QueueContract


class TestPostgresQueue(QueueContract):
    """The contract, kept by PostgreSQL."""
