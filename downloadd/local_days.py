"""Days of a time zone, as instants.

Pure: no I/O but the time zone data of the system, and no clock.
"""

from datetime import date, datetime, timedelta
from typing import Self
from zoneinfo import ZoneInfo

import msgspec


class LocalDay(msgspec.Struct, frozen=True, kw_only=True):
    """A day of a time zone. It has 23 or 25 hours when clocks are changed."""

    name: str
    """ISO 8601."""
    begin: float
    """Unix time."""
    end: float
    """Unix time of the begin of the next day."""

    @classmethod
    def at(cls, instant: float, zone: ZoneInfo) -> Self:
        """Return the day of an instant, a Unix time."""
        day = datetime.fromtimestamp(instant, zone).date()
        return cls(name=day.isoformat(), begin=_begin(day, zone), end=_begin(day + timedelta(days=1), zone))

    def has(self, instant: float) -> bool:
        """Return True if an instant is in the day."""
        return self.begin <= instant < self.end


def _begin(day: date, zone: ZoneInfo) -> float:
    # The later one, where clocks show midnight twice, or are set forward at midnight.
    return max(datetime(day.year, day.month, day.day, tzinfo=zone, fold=fold).timestamp() for fold in (0, 1))
