"""Records of the files of users."""

from records.contracts.user_files import UserFileContract


class TestSqliteUserFiles(UserFileContract):
    """The contract, kept by SQLite."""
