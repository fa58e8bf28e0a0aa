"""Bytes of users by day."""

from support.clocks import ManualClock

from downloadd.manager.day_meter import MAX_DAYS, DayMeter, day_before
from downloadd.records.user_days import DayBytes
from downloadd.user_quota import UserQuota

DAY = 86_400
NOON = 1_700_049_600.0
"""2023-11-15T12:00:00Z."""


class Meter:
    """A meter, its clock and what it has noted."""

    def __init__(self, **quotas: UserQuota) -> None:
        self.clock = ManualClock(NOON)
        self.noted: list[DayBytes] = []
        self.meter = DayMeter(self.clock, self.noted.append)
        self.meter.configure(quotas)


def test_each_day_has_its_own_bytes_also_after_a_clock_is_set_back() -> None:
    parts = Meter(alice=UserQuota(bytes_per_day=10))
    meter, clock = parts.meter, parts.clock
    meter.add("alice", 4)
    meter.add("alice", 6)
    assert (meter.used("alice"), list(meter.exhausted())) == (10, ["alice"])
    clock.now += DAY
    assert (meter.used("alice"), list(meter.exhausted())) == (0, [])
    meter.add("alice", 1)
    clock.now -= DAY
    assert (meter.used("alice"), list(meter.exhausted())) == (10, ["alice"])
    meter.add("alice", 1)
    assert [(one.day, one.received) for one in parts.noted] == [
        ("2023-11-15", 4),
        ("2023-11-15", 10),
        ("2023-11-16", 1),
        ("2023-11-15", 11),
    ]


def test_what_other_processes_have_received_counts_on_its_day() -> None:
    parts = Meter(alice=UserQuota(bytes_per_day=10))
    parts.meter.add("alice", 4)
    parts.meter.set_others({"alice": "2023-11-15"}, {"alice": 6})
    assert parts.meter.used("alice") == 10
    # Another one records its own.
    assert parts.noted[-1].received == 4
    parts.clock.now += DAY
    assert parts.meter.used("alice") == 0


def test_users_without_a_quota_are_not_counted() -> None:
    parts = Meter(alice=UserQuota(bytes_per_day=10), bob=UserQuota(max_concurrent=1))
    parts.meter.add("bob", 4)
    parts.meter.add("alice", 0)
    assert (parts.noted, parts.meter.limit("bob"), list(parts.meter.today)) == ([], None, ["alice"])


def test_another_time_zone_holds_at_once() -> None:
    parts = Meter(alice=UserQuota(bytes_per_day=10))
    assert parts.meter.day("alice").name == "2023-11-15"
    parts.meter.configure({"alice": UserQuota(bytes_per_day=10, time_zone="Pacific/Kiritimati")})
    assert parts.meter.day("alice").name == "2023-11-16"


def test_old_days_are_forgotten() -> None:
    parts = Meter(alice=UserQuota(bytes_per_day=10))
    for _ in range(MAX_DAYS + 2):
        parts.meter.add("alice", 1)
        parts.clock.now += DAY
    parts.clock.now = NOON
    assert parts.meter.used("alice") == 0
    assert day_before("2024-03-01", 1) == "2024-02-29"
