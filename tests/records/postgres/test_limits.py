"""Records of limits over all nodes."""

from downloadd.clock import SystemClock
from downloadd.records.postgres.records import PostgresRecords


async def test_limits_are_kept_changed_and_withdrawn_by_name_and_time(database: str) -> None:
    async with PostgresRecords(database, SystemClock()) as records:
        assert await records.limits.load() == {}
        await records.limits.change({"speed_limit": 2**40, "max_per_host": 2}, now=10.5)
        await records.limits.change({"max_per_host": 3}, now=20.0)
        await records.limits.withdraw(["max_per_host", "speed_limit"], before=20.0)
        assert await records.limits.load() == {"max_per_host": 3}
        await records.limits.withdraw(["speed_limit"], before=100.0)
    async with PostgresRecords(database, SystemClock()) as records:
        assert await records.limits.load() == {"max_per_host": 3}
        await records.limits.withdraw(["max_per_host"], before=20.1)
        assert await records.limits.load() == {}
