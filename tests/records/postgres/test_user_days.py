"""Records of the bytes of users by day."""

from records.contracts.user_days import UserDayContract


class TestPostgresUserDays(UserDayContract):
    """The contract, kept by PostgreSQL."""
