"""Instants that clients state: ISO 8601 with a time zone, or Unix time.

Pure: no I/O and no clock.
"""

import math
import re
from datetime import UTC, datetime
from typing import Final

MAX_INSTANT: Final = 253_402_300_799
"""Unix time of the last second of the year 9999."""

_UNIX_TIME: Final = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,9})?")
_EXPECTED: Final = "expected a time with its time zone, such as 2026-12-24T18:00:00+01:00, or Unix time in seconds"


def parse_instant(value: str | float) -> float:
    """Return the Unix time of a text or number.

    Raises:
        ValueError: it is none, in words.
    """
    if isinstance(value, str) and not _UNIX_TIME.fullmatch(value):
        try:
            parsed = datetime.fromisoformat(value)
        except ValueError:
            raise ValueError(_EXPECTED) from None
        if parsed.tzinfo is None:
            raise ValueError(f"the time has no time zone; append Z for UTC, or an offset such as +01:00; {_EXPECTED}")
        instant = parsed.timestamp()
    else:
        instant = float(value)
    if not (math.isfinite(instant) and 0 <= instant <= MAX_INSTANT):
        raise ValueError(f"the time is not in the years 1970 to 9999; {_EXPECTED}")
    return instant


def format_instant(instant: float) -> str:
    """Return a Unix time as a text with seconds, in UTC: `2026-12-24T17:00:00Z`."""
    return datetime.fromtimestamp(math.floor(instant), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
