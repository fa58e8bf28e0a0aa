"""The list of results."""

from records.contracts.results import ResultContract


class TestSqliteResults(ResultContract):
    """The contract, kept by SQLite."""
