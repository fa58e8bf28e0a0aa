"""`Records` in PostgreSQL: the contract, and what only this store promises."""

from records.contract import RecordsContract


class TestPostgresRecords(RecordsContract):
    """The contract, kept by PostgreSQL."""
