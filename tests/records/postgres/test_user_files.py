"""Records of the files of users."""

from records.contracts.user_files import UserFileContract


class TestPostgresUserFiles(UserFileContract):
    """The contract, kept by PostgreSQL."""
