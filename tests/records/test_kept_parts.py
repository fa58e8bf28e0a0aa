"""Queries for what is kept of ended downloads."""

from records.contracts.kept_parts import KeptPartContract


class TestSqliteKeptParts(KeptPartContract):
    """The contract, kept by SQLite."""
