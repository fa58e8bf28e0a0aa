"""`Records` in PostgreSQL: the contract, and what only this store promises."""

from records.contract import RecordsContract
from records.contracts.store import StoreContract


class TestPostgresRecords(RecordsContract):
    """The contract, kept by PostgreSQL."""


class TestPostgresStore(StoreContract):
    """The contract of several records together, kept by PostgreSQL."""
