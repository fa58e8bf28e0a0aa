"""The whole store."""

from records.contracts.store import StoreContract


class TestSqliteStore(StoreContract):
    """The contract, kept by SQLite."""
