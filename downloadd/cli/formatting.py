"""Numbers, times, states and errors in the words that people read.

Pure: no I/O and no clock.
"""

from datetime import datetime
from typing import Final

from downloadd.client import ActiveEntry, ApiError, HistoryEntry, State
from downloadd.errors import ERRORS, ErrorCode

UNITS: Final = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")

STATE_LABELS: Final = {
    State.QUEUED: "waiting",
    State.STARTING: "starting",
    State.DOWNLOADING: "downloading",
    State.RETRYING: "trying again",
    State.VERIFYING: "verifying",
    State.PAUSED: "paused",
    State.COMPLETED: "completed",
    State.FAILED: "failed",
    State.CANCELLED: "cancelled",
    State.SKIPPED: "skipped",
}

_AUTHORIZATION_ERRORS: Final = {
    "unauthorized": (
        "the token is missing or wrong",
        "give one with --token-file or DOWNLOADD_TOKEN; the first start of the daemon printed where it keeps its own",
    ),
    "error-unauthorized": ("this user may not do that", "ask for the permission in [[users]] of the configuration"),
}
"""What is no error of the table: what happened, and what to do."""


def replace_unprintable(text: str) -> str:
    """What others have written, without what a terminal would obey."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)


def format_size(nbytes: int | None) -> str:
    """Bytes in three digits or so."""
    if nbytes is None:
        return "?"
    value, unit = float(nbytes), 0
    while value >= 1023.5 and unit < len(UNITS) - 1:
        value, unit = value / 1024, unit + 1
    digits = 0 if unit == 0 or value >= 99.95 else 1 if value >= 9.995 else 2
    return f"{value:.{digits}f} {UNITS[unit]}"


def format_count(number: int, one: str) -> str:
    """So many of something."""
    return f"{number} {one}" if number == 1 else f"{number} {one}s"


def format_duration(seconds: float) -> str:
    """A duration in its two biggest units."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    if whole < 86_400:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 86_400} d {whole % 86_400 // 3600} h"


def format_time(seconds: int) -> str:
    """A Unix time in the zone of this machine."""
    return f"{datetime.fromtimestamp(seconds).astimezone():%Y-%m-%d %H:%M:%S}"


def format_name(entry: ActiveEntry | HistoryEntry) -> str:
    """The path of a download, or its URL while it has none."""
    return replace_unprintable(entry.file_path or entry.url)


def format_progress(entry: ActiveEntry) -> str:
    """What of an active download is there."""
    if entry.expected_size is None:
        return format_size(entry.current_size) if entry.current_size else ""
    return f"{format_size(entry.current_size)} of {format_size(entry.expected_size)}"


def format_reason(entry: ActiveEntry | HistoryEntry) -> str:
    """What an active download waits for, or what the last attempt or the whole one ended with."""
    parts = [entry.reason] if isinstance(entry, ActiveEntry) and entry.reason else []
    if entry.error is not None:
        parts.append(format_error(entry.error, entry.detail))
    elif entry.detail:
        parts.append(entry.detail)
    return replace_unprintable("; ".join(parts))


def format_error(code: str, detail: str | None) -> str:
    """An error in one line: its title, and the sentence about this case."""
    info = ERRORS[ErrorCode(code)] if code in ERRORS else None
    title = info.title if info is not None else _AUTHORIZATION_ERRORS.get(code, (code, ""))[0]
    return f"{title}: {detail}" if detail else title


def get_resolution(code: str) -> str | None:
    """What to do about an error."""
    if code in ERRORS:
        return ERRORS[ErrorCode(code)].resolution
    return _AUTHORIZATION_ERRORS[code][1] if code in _AUTHORIZATION_ERRORS else None


def format_api_error(error: ApiError) -> list[str]:
    """What the daemon refused, in lines: what happened, and what to do."""
    lines = [format_error(error.code, error.detail)]
    if error.retry_after is not None:
        lines.append(f"Try again in {format_duration(error.retry_after)}")
    elif (what_to_do := get_resolution(error.code)) is not None:
        lines.append(what_to_do)
    return [f"{replace_unprintable(line[:1].upper() + line[1:]).rstrip('.')}." for line in lines]
