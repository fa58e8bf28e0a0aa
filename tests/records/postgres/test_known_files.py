"""Query for files that can be recognised."""

from records.contracts.known_files import KnownFileContract


class TestPostgresKnownFiles(KnownFileContract):
    """The contract, kept by PostgreSQL."""
