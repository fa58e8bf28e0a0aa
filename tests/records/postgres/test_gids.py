"""Lookup by gid."""

from records.contracts.gids import GidContract


class TestPostgresGid(GidContract):
    """The contract, kept by PostgreSQL."""
