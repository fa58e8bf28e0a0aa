"""Bytes that users with a quota for a day have received on it."""

from collections import Counter
from collections.abc import Callable, Mapping
from datetime import date, timedelta
from typing import Final

from downloadd.clock import Clock
from downloadd.hours import parse_time_zone
from downloadd.local_days import LocalDay
from downloadd.records.user_days import DayBytes
from downloadd.user_quota import UserQuota

MAX_DAYS: Final = 4
"""Days of a user that the meter remembers, because a clock may be set back."""


class DayMeter:
    """Counts the bytes of each user by day of the user's time zone."""

    def __init__(self, clock: Clock, note: Callable[[DayBytes], None]) -> None:
        """Make a meter; `note` gets what this process has received of a user on a day, after each change."""
        self._clock = clock
        self._note = note
        self._quotas: Mapping[str, UserQuota] = {}
        self._days: dict[str, LocalDay] = {}
        self._own: dict[str, Counter[str]] = {}
        self._others: dict[tuple[str, str], int] = {}

    def configure(self, quotas: Mapping[str, UserQuota]) -> None:
        """Replace the quotas; what was counted stays."""
        self._quotas = {user: quota for user, quota in quotas.items() if quota.bytes_per_day is not None}
        self._days.clear()

    @property
    def today(self) -> Mapping[str, LocalDay]:
        """Return the present day of each user with a quota."""
        return {user: self.day(user) for user in self._quotas}

    def limit(self, user: str) -> int | None:
        """Return the bytes that a user may receive in a day; None for no limit."""
        quota = self._quotas.get(user)
        return None if quota is None else quota.bytes_per_day

    def day(self, user: str) -> LocalDay:
        """Return the present day of a user with a quota."""
        now, day = self._clock.wall(), self._days.get(user)
        if day is None or not day.has(now):
            day = self._days[user] = LocalDay.at(now, parse_time_zone(self._quotas[user].time_zone))
        return day

    def used(self, user: str) -> int:
        """Return the bytes that a user with a quota has received today, in all processes."""
        day = self.day(user).name
        return self._own.get(user, Counter())[day] + self._others.get((user, day), 0)

    def add(self, user: str, nbytes: int) -> None:
        """Count bytes of a user; those of one without a quota are ignored."""
        if user not in self._quotas or not nbytes:
            return
        day, own = self.day(user).name, self._own.setdefault(user, Counter())
        own[day] += nbytes
        if len(own) > MAX_DAYS:
            del own[min(own)]
        self._note(DayBytes(user=user, day=day, received=own[day]))

    def set_others(self, days: Mapping[str, str], received: Mapping[str, int]) -> None:
        """Set what other processes have received for users on these days."""
        self._others = {(user, day): received.get(user, 0) for user, day in days.items()}

    def exhausted(self) -> Mapping[str, LocalDay]:
        """Return the users who may receive nothing more today, with the day."""
        return {user: day for user, day in self.today.items() if self.used(user) >= (self.limit(user) or 0)}


def day_before(day: str, days: int) -> str:
    """Return the name of an earlier day."""
    return (date.fromisoformat(day) - timedelta(days=days)).isoformat()
