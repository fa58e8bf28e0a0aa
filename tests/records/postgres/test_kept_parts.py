"""Part files that are kept of ended downloads."""

from records.contracts.kept_parts import KeptPartContract


class TestPostgresKeptPart(KeptPartContract):
    """The contract, kept by PostgreSQL."""
