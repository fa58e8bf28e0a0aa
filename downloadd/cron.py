"""Cron expressions in a time zone: five fields as in crontab(5), with the rules of Debian's cron for daylight saving.

A time that no clock shows occurs when clocks are set forward; one that clocks show twice occurs once. Expressions that
begin with `*` for minute or hour follow the clock. Pure: no I/O but the time zone data of the system, and no clock.
"""

from datetime import datetime
from typing import Final

from cronsim import CronSim, CronSimError

from downloadd.hours import parse_time_zone

MAX_CRON_CHARACTERS: Final = 200
_EXPECTED: Final = 'expected minute, hour, day of the month, month and day of the week, such as "30 2 * * mon-fri"'
_ANY_TIME: Final = datetime.fromisoformat("2024-01-01T00:00:00+00:00")


def parse_cron(text: str) -> str:
    """Return an expression with single spaces.

    Raises:
        ValueError: it is malformed, or never occurs, in words.
    """
    fields = text.split()
    if len(text) > MAX_CRON_CHARACTERS or len(fields) != 5 or not text.isascii():
        raise ValueError(_EXPECTED)
    try:
        next(CronSim(" ".join(fields), _ANY_TIME))
    except CronSimError as error:
        problem = str(error)
        raise ValueError(f"{problem[:1].lower()}{problem[1:]}; {_EXPECTED}") from None
    except StopIteration:
        raise ValueError("no day matches it within 50 years") from None
    return " ".join(fields)


def next_time(cron: str, time_zone: str, after: float) -> float | None:
    """Return the first Unix time after `after` at which a checked expression occurs; None if it does not."""
    start = datetime.fromtimestamp(after, parse_time_zone(time_zone))
    try:
        return next(CronSim(cron, start)).timestamp()
    except StopIteration:
        return None


def latest_time(cron: str, time_zone: str, until: float) -> float | None:
    """Return the last Unix time, at `until` or before it, at which a checked expression occurs."""
    # The time itself belongs to the past.
    start = datetime.fromtimestamp(int(until) + 1, parse_time_zone(time_zone))
    try:
        return next(CronSim(cron, start, reverse=True)).timestamp()
    except StopIteration:
        return None
