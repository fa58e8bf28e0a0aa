"""Records of schedules."""

from records.contracts.schedules import ScheduleContract


class TestPostgresSchedules(ScheduleContract):
    """The contract, kept by PostgreSQL."""
