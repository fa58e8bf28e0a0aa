"""Texts for people: numbers, times, states and errors.

Pure: no I/O and no clock.
"""

from datetime import datetime
from typing import Final

from downloadd.client import ActiveEntry, ApiError, HistoryEntry, LimitHours, State
from downloadd.errors import ERRORS, ErrorCode
from downloadd.states import STATES

UNITS: Final = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")

_AUTHORIZATION_ERRORS: Final = {
    "unauthorized": (
        "the token is missing or wrong",
        "pass one with --token-file or DOWNLOADD_TOKEN; the first start of the daemon printed the file of its token",
    ),
    "error-unauthorized": ("the user lacks the permission", "ask for the permission in [[users]] of the configuration"),
}
"""Errors outside of the table: title and resolution."""


def replace_unprintable(text: str) -> str:
    """Return a text without control characters, which a terminal would execute."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)


def format_size(nbytes: int | None) -> str:
    """Return a size with about three digits, such as `1.50 MiB`."""
    if nbytes is None:
        return "?"
    value, unit = float(nbytes), 0
    while value >= 1023.5 and unit < len(UNITS) - 1:
        value, unit = value / 1024, unit + 1
    digits = 0 if unit == 0 or value >= 99.95 else 1 if value >= 9.995 else 2
    return f"{value:.{digits}f} {UNITS[unit]}"


def format_count(number: int, one: str) -> str:
    """Return a number with its noun in singular or plural."""
    return f"{number} {one}" if number == 1 else f"{number} {one}s"


def format_duration(seconds: float) -> str:
    """Return a duration in its two largest units."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    if whole < 86_400:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 86_400} d {whole % 86_400 // 3600} h"


def format_time(seconds: int) -> str:
    """Return a Unix time as date and time in the time zone of this machine."""
    return f"{datetime.fromtimestamp(seconds).astimezone():%Y-%m-%d %H:%M:%S}"


def format_hours(hours: LimitHours) -> str:
    """Return hours of the week on one line."""
    return f"{hours.hours} {hours.time_zone}, {', '.join(hours.days)}"


def format_name(entry: ActiveEntry | HistoryEntry) -> str:
    """Return the path of a download, or its URL if it has no path."""
    return replace_unprintable(entry.file_path or entry.url)


def format_state(state: State) -> str:
    """Return the name of a state."""
    return STATES[state].label


def format_progress(entry: ActiveEntry) -> str:
    """Return the received or uploaded bytes of an active download, and the expected ones if they are known."""
    if isinstance(entry.uploaded, int) and entry.expected_size is not None:
        return f"{format_size(entry.uploaded)} of {format_size(entry.expected_size)} uploaded"
    if entry.expected_size is None:
        return format_size(entry.current_size) if entry.current_size else ""
    return f"{format_size(entry.current_size)} of {format_size(entry.expected_size)}"


def format_kept(nbytes: int) -> str:
    """Return the description of a part file that was kept after a failure."""
    return f"{format_size(nbytes)} kept, retry continues"


def format_reason(entry: ActiveEntry | HistoryEntry) -> str:
    """Return the reason why a download waits, the error of its last attempt, and its warning."""
    parts = [entry.reason] if isinstance(entry, ActiveEntry) and entry.reason else []
    if entry.error is not None:
        parts.append(format_error(entry.error, entry.detail))
    if entry.warning:
        parts.append(entry.warning)
    return replace_unprintable("; ".join(parts))


def format_error(code: str, detail: str | None) -> str:
    """Return the title of an error code and the sentence about this case."""
    info = ERRORS[ErrorCode(code)] if code in ERRORS else None
    title = info.title if info is not None else _AUTHORIZATION_ERRORS.get(code, (code, ""))[0]
    return f"{title}: {detail}" if detail else title


def get_resolution(code: str) -> str | None:
    """Return the action that resolves an error, or None for an unknown code."""
    if code in ERRORS:
        return ERRORS[ErrorCode(code)].resolution
    return _AUTHORIZATION_ERRORS[code][1] if code in _AUTHORIZATION_ERRORS else None


def format_api_error(error: ApiError) -> list[str]:
    """Return the lines about a refused call: the error, and the action that resolves it."""
    lines = [format_error(error.code, error.detail)]
    if error.retry_after is not None:
        lines.append(f"Try again in {format_duration(error.retry_after)}")
    elif (resolution := get_resolution(error.code)) is not None:
        lines.append(resolution)
    return [f"{replace_unprintable(line[:1].upper() + line[1:]).rstrip('.')}." for line in lines]
