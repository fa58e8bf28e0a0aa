"""Types of option values."""

import re
from collections.abc import Iterable
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

import click
from click.shell_completion import CompletionItem

from downloadd.instants import parse_instant
from downloadd.sizes import parse_size

if TYPE_CHECKING:
    _IntegerType = click.ParamType[int]
else:
    # Only the latest versions of click make it generic.
    _IntegerType = click.ParamType


class Size(_IntegerType):
    """Type of an option that takes a size in bytes, such as `10 MiB`."""

    name = "SIZE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the size in bytes."""
        if isinstance(value, int):
            return value
        try:
            return parse_size(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


SIZE: Final = Size()

_DURATION: Final = re.compile(r"(\d{1,9}) ?(m|h|d|w)")
_SECONDS: Final = {"m": 60, "h": 3600, "d": 86_400, "w": 604_800}


class Duration(_IntegerType):
    """Type of an option that takes a time span, such as `30d` or `12h`; its value is in seconds."""

    name = "TIME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the time span in seconds."""
        if isinstance(value, int):
            return value
        match = _DURATION.fullmatch(str(value).strip())
        if match is None:
            self.fail("expected a number of minutes, hours, days or weeks, such as 45m, 12h, 30d or 4w", param, ctx)
        return int(match[1]) * _SECONDS[match[2]]


DURATION: Final = Duration()

INSTANT_HELP: Final = (
    "Do not start before this time: 18:00 for the next time that clocks here show it, +2h, a date with time such as "
    "2026-12-24T18:00, or Unix time."
)
_CLOCK_TIME: Final = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)")


class Instant(click.ParamType):  # type: ignore[type-arg, unused-ignore]
    """Type of an option that takes a time; its value is Unix time. Without a time zone it is that of this machine."""

    name = "TIME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the Unix time."""
        text = str(value).strip()
        now = datetime.now().astimezone()
        if text.startswith("+"):
            return now.timestamp() + DURATION.convert(text[1:], param, ctx)
        if (match := _CLOCK_TIME.fullmatch(text)) is not None:
            # The naive time, because a day may have another number of hours.
            today = datetime.now().replace(hour=int(match[1]), minute=int(match[2]), second=0, microsecond=0)  # noqa: DTZ005
            moment = today.astimezone()
            return (moment if moment > now else (today + timedelta(days=1)).astimezone()).timestamp()
        try:
            local = datetime.fromisoformat(text)
        except ValueError:
            pass
        else:
            text = local.astimezone().isoformat()
        try:
            return parse_instant(text)
        except ValueError:
            self.fail("expected a time such as 18:00, +2h, 2026-12-24T18:00, or Unix time in seconds", param, ctx)


INSTANT: Final = Instant()

if TYPE_CHECKING:
    _PlaceType = click.ParamType[str | int]
else:
    _PlaceType = click.ParamType


class Place(_PlaceType):
    """Type of an argument that takes a place in the waiting list: one of some words, or an index."""

    name = "PLACE"

    def __init__(self, words: Iterable[str]) -> None:
        self._words = tuple(words)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str | int:
        """Return the word or the index."""
        if value in self._words:
            return str(value)
        text = str(value)
        if not (text.isascii() and text.isdigit() and len(text) < 16):
            self.fail(f"expected {', '.join(self._words)}, or an index such as 0 for the first", param, ctx)
        return int(text)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Return the words that begin with the text."""
        return [CompletionItem(word) for word in self._words if word.startswith(incomplete)]


def one_of(members: Iterable[StrEnum]) -> "click.Choice[str]":
    """Return the type of an option that takes the value of one of these members.

    Of an enumeration, click before 8.2 takes the values, and click from 8.2 on the names.
    """
    return click.Choice([member.value for member in members])
