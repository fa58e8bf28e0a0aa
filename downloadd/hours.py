"""Hours of the week in a time zone: which hold at an instant, and when that changes next.

Pure: no I/O but the time zone data of the system, and no clock.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final, Self
from zoneinfo import ZoneInfo

import msgspec

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
"""Names of the days of the week, in the order of `date.weekday`."""
WHOLE_DAY: Final = "00:00-24:00"

_DAY_MINUTES: Final = 24 * 60
_HORIZON_DAYS: Final = 15
"""Days within which hours of the week change, even if a day of daylight saving leaves them out once."""
_HOURS: Final = re.compile(r"([0-9]{1,2}):([0-9]{2})-([0-9]{1,2}):([0-9]{2})")


class Hours(msgspec.Struct, frozen=True, kw_only=True):
    """Hours of some days of the week, as clocks in a time zone show them.

    Hours that end on the next day belong to the day on which they begin. When clocks are set forward, hours that no
    clock shows do not occur; when they are set back, hours that clocks show twice hold twice.
    """

    begin: int
    """Minute of the day."""
    end: int
    """Minute of the day, or of the next one if it is not after `begin`; not included."""
    days: frozenset[int]
    """Numbers of the days as in `date.weekday`."""
    zone: Any
    """The `ZoneInfo`."""

    @classmethod
    def parse(cls, hours: str, days: Iterable[str] = DAYS, time_zone: str = "UTC") -> Self:
        """Return the hours with a text such as `22:00-06:00`, names of days, and the name of a time zone.

        Raises:
            ValueError: one of them is malformed, in words.
        """
        begin, end = _parse_minutes(hours)
        return cls(
            begin=begin, end=end, days=frozenset(DAYS.index(day) for day in days), zone=parse_time_zone(time_zone)
        )

    def hold(self, instant: float) -> bool:
        """Return True if the hours hold at a Unix time."""
        local = datetime.fromtimestamp(instant, self.zone)
        minute, day = local.hour * 60 + local.minute, local.weekday()
        if self.begin < self.end:
            return self.begin <= minute < self.end and day in self.days
        return (minute >= self.begin and day in self.days) or (minute < self.end and (day - 1) % 7 in self.days)

    def boundaries(self, instant: float) -> Iterator[float]:
        """Yield the Unix times around `instant` and after it at which the hours may begin or end."""
        today = datetime.fromtimestamp(instant, self.zone).date()
        for offset in range(-1, _HORIZON_DAYS):
            day = today + timedelta(days=offset)
            if day.weekday() in self.days:
                end = self.end if self.begin < self.end else self.end + _DAY_MINUTES
                for minute in (self.begin, end):
                    local = datetime(day.year, day.month, day.day) + timedelta(minutes=minute)  # noqa: DTZ001
                    # The first and the second time that clocks show it.
                    for fold in (0, 1):
                        yield local.replace(tzinfo=self.zone, fold=fold).timestamp()
            change = _clock_change(self.zone, day)
            if change is not None:
                yield change


def parse_hours(text: str) -> str:
    """Return hours such as `8:00-18:00` in their canonical spelling, `08:00-18:00`.

    Raises:
        ValueError: they are malformed, in words.
    """
    begin, end = _parse_minutes(text)
    return f"{begin // 60:02}:{begin % 60:02}-{end // 60:02}:{end % 60:02}"


def parse_time_zone(name: str) -> ZoneInfo:
    """Return the time zone with a name of the IANA database, such as `Europe/Berlin`.

    Raises:
        ValueError: there is no such zone, in words.
    """
    try:
        return ZoneInfo(name)
    # A name with a slash at its beginning or a directory's name is refused by other errors.
    except (KeyError, ValueError, OSError):
        raise ValueError(
            'expected the name of a time zone, such as "Europe/Berlin" or "UTC", as `timedatectl list-timezones` prints'
        ) from None


def find_holding(windows: Sequence[Hours], instant: float) -> int | None:
    """Return the index of the first hours that hold at a Unix time; None if none do."""
    return next((index for index, hours in enumerate(windows) if hours.hold(instant)), None)


def next_change(windows: Sequence[Hours], instant: float) -> float | None:
    """Return the first Unix time after `instant` at which `find_holding` differs; None if that is not near."""
    current = find_holding(windows, instant)
    times = sorted({time for hours in windows for time in hours.boundaries(instant) if time > instant})
    return next((time for time in times if find_holding(windows, time) != current), None)


def _parse_minutes(text: str) -> tuple[int, int]:
    match = _HOURS.fullmatch(text)
    if match is None:
        raise ValueError('expected hours such as "08:00-18:00" or "22:00-06:00"')
    begin_hour, begin_minute, end_hour, end_minute = map(int, match.groups())
    begin, end = begin_hour * 60 + begin_minute, end_hour * 60 + end_minute
    if max(begin_minute, end_minute) > 59 or begin >= _DAY_MINUTES or end > _DAY_MINUTES:
        raise ValueError('expected times from "00:00" to "24:00"')
    if begin == end:
        raise ValueError(f'begin and end are the same; write "{WHOLE_DAY}" for the whole day')
    return begin, end


def _clock_change(zone: ZoneInfo, day: date) -> float | None:
    """Return the Unix time, to the second, at which clocks of a zone are changed on a day; None if they are not."""
    start = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) - 86_400
    low, high = start, start + 2 * 86_400
    before = _offset(zone, low)
    if before == _offset(zone, high):
        return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _offset(zone, middle) == before else (low, middle)
    return float(high)


def _offset(zone: ZoneInfo, instant: int) -> timedelta | None:
    return datetime.fromtimestamp(instant, zone).utcoffset()
