"""The list of results."""

from records.contracts.results import ResultContract


class TestPostgresResult(ResultContract):
    """The contract, kept by PostgreSQL."""
