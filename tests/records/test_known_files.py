"""Query for files that can be recognised."""

from records.contracts.known_files import KnownFileContract


class TestSqliteKnownFiles(KnownFileContract):
    """The contract, kept by SQLite."""
