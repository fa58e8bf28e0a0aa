"""Lookup by gid."""

from records.contracts.gids import GidContract


class TestSqliteGids(GidContract):
    """The contract, kept by SQLite."""
