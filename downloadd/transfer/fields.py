"""Parsers of the response fields that decide how a download continues.

All input is foreign. A parser takes the field's value as the client library returns it: octets decoded as UTF-8, those
that are not UTF-8 as lone surrogates (`surrogateescape`). Pure: no I/O and no clock.
"""

import calendar
import re
from base64 import b64decode
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final, NamedTuple

import msgspec

from downloadd.errors import InvalidParameterError
from downloadd.verify import parse_checksum

MAX_LENGTH_BYTES: Final = 2**62
"""Bytes of a representation; a longer one is not credible, and would not fit the records."""

MIN_CLOCK_DIFFERENCE_SECONDS: Final = 60
"""Seconds that Date must be later than Last-Modified for the latter to be strong.

RFC 9110, section 8.8.2.2, requires one second when both are known to come from one clock, else for a difference that
makes a synchronization issue unlikely. A client cannot know the clocks; 60 s is the difference that RFC 7232 gives.
"""

_DIGEST_ALGORITHMS: Final = {"sha-512": "sha-512", "sha-256": "sha-256", "sha": "sha-1", "md5": "md5"}
"""Names of algorithms in fields (RFC 9530, section 7.2), strongest first, and those of `verify`."""

_DIGEST_MEMBER: Final = re.compile(r"(?P<name>[^=]+)=:(?P<value>[^:]*):(?:[ \t]*;.*)?", re.DOTALL)

_OWS: Final = " \t"

_DIGITS: Final = re.compile(r"[0-9]+")
_CONTENT_RANGE: Final = re.compile(
    r"bytes (?:(?P<first>[0-9]+)-(?P<last>[0-9]+)/(?P<of>[0-9]+|\*)|\*/(?P<unsatisfied>[0-9]+))", re.IGNORECASE
)


class ContentRange(msgspec.Struct, frozen=True, kw_only=True):
    """The range of a message; both positions are inclusive, and None in an unsatisfied range."""

    first_pos: int | None = None
    last_pos: int | None = None
    complete_length: int | None = None
    """Bytes; None for `*`: the origin does not know it, or does not say."""

    @property
    def is_partial(self) -> bool:
        """True if the range is known not to be the complete representation."""
        if self.first_pos is None or self.last_pos is None:
            return False
        return self.first_pos > 0 or self.complete_length not in {None, self.last_pos + 1}


def parse_content_length(text: str | None) -> int | None:
    """Parse the bytes of one message's content; return None if the field is absent.

    The client refuses a response whose Content-Length is not a length, or stands beside Transfer-Encoding.
    """
    return None if text is None else _parse_length(text.strip(_OWS))


def parse_content_range(text: str | None) -> ContentRange | None:
    """Parse a Content-Range in bytes (RFC 9110, section 14.4); return None if it is absent or invalid."""
    match = _CONTENT_RANGE.fullmatch((text or "").strip(_OWS))
    if match is None:
        return None
    if match["unsatisfied"] is not None:
        complete_length = _parse_length(match["unsatisfied"])
        return None if complete_length is None else ContentRange(complete_length=complete_length)
    first_pos, last_pos = _parse_length(match["first"]), _parse_length(match["last"])
    complete_length = None if match["of"] == "*" else _parse_length(match["of"])
    if first_pos is None or last_pos is None or (complete_length is None and match["of"] != "*"):
        return None
    if first_pos > last_pos or (complete_length is not None and last_pos >= complete_length):
        return None
    return ContentRange(first_pos=first_pos, last_pos=last_pos, complete_length=complete_length)


def format_range(start: int, end: int | None = None) -> str:
    """Return a Range for the bytes from `start` up to `end`, or for all from there on (RFC 9110, section 14.2)."""
    return f"bytes={start}-" if end is None else f"bytes={start}-{end - 1}"


def _parse_length(text: str) -> int | None:
    """Parse a number of bytes up to `MAX_LENGTH_BYTES`; return None for any other text."""
    if not _DIGITS.fullmatch(text):
        return None
    # Python raises ValueError instead of converting thousands of digits.
    digits = text.lstrip("0") or "0"
    if len(digits) > len(str(MAX_LENGTH_BYTES)):
        return None
    length = int(digits)
    return length if length <= MAX_LENGTH_BYTES else None


# etagc is %x21 / %x23-7E / obs-text (RFC 9110, section 8.8.3). Octets that are not UTF-8 are refused, because neither
# the records nor the client library could return them unchanged.
_ENTITY_TAG: Final = re.compile(r'(?P<weak>W/)?"[\x21\x23-\x7e\x80-\ud7ff\ue000-\U0010ffff]*"')


def is_entity_tag(validator: str) -> bool:
    """Return True if a validator is an entity tag, and not a date (RFC 9110, section 13.1.5)."""
    return validator.startswith(('"', "W/"))


def parse_entity_tag(text: str | None) -> str | None:
    """Parse an entity tag, weak or strong; return None if it is absent or malformed."""
    tag = (text or "").strip(_OWS)
    return tag if _ENTITY_TAG.fullmatch(tag) else None


def strong_validator(*, etag: str | None, last_modified: str | None, date: str | None, now: float) -> str | None:
    """Return the validator that `If-Range` may have for a response with these fields; None if none is strong.

    It is a strong entity tag; else, only if the response has no entity tag at all (RFC 9110, section 13.1.5: not even a
    weak one), the Last-Modified exactly as sent, when Date is at least `MIN_CLOCK_DIFFERENCE_SECONDS` later. In place
    of a missing or invalid Date, the time of receipt is used (RFC 9110, section 6.6.1).

    Args:
        etag: the field's value, or None.
        last_modified: the field's value, or None.
        date: the field's value, or None.
        now: Unix time of the receipt, also for years of two digits.
    """
    tag = parse_entity_tag(etag)
    if tag is not None:
        return None if tag.startswith("W/") else tag
    modified, sent = parse_http_date(last_modified, now=now), parse_http_date(date, now=now)
    if last_modified is None or modified is None:
        return None
    if (now if sent is None else sent) - modified < MIN_CLOCK_DIFFERENCE_SECONDS:
        return None
    return last_modified.strip(_OWS)


_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_DAY: Final = f"(?:{'|'.join(_DAYS)})"
_LONG_DAY: Final = "(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day"
_MONTH: Final = f"(?P<month>{'|'.join(_MONTHS)})"
_TIME: Final = r"(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2})"
_DATE_FORMS: Final = (
    re.compile(rf"{_DAY}, (?P<day>[0-9]{{2}}) {_MONTH} (?P<year>[0-9]{{4}}) {_TIME} GMT"),  # IMF-fixdate
    re.compile(rf"{_LONG_DAY}, (?P<day>[0-9]{{2}})-{_MONTH}-(?P<year>[0-9]{{2}}) {_TIME} GMT"),  # RFC 850
    re.compile(rf"{_DAY} {_MONTH} (?P<day>[0-9]{{2}}| [0-9]) {_TIME} (?P<year>[0-9]{{4}})"),  # asctime
)
_FIRST_YEAR: Final = 1900


def parse_http_date(text: str | None, *, now: float) -> int | None:
    """Parse an HTTP-date in any of its three forms (RFC 9110, section 5.6.7) to Unix time; None if it is invalid.

    The day's name is not compared with the date, and a leap second is the first second of the next minute. Years
    before 1900 are invalid. `now` (Unix time) resolves a year of two digits: it is at most 50 years ahead.
    """
    if not text:
        return None
    date = _parse_date(text.strip(_OWS))
    return _resolve_two_digit_year(date, now) if isinstance(date, _TwoDigitYear) else date


class _TwoDigitYear(NamedTuple):
    """Date of the form of RFC 850."""

    year: int
    month: int
    day: int
    time: tuple[int, int, int]


@lru_cache(maxsize=1024)
def _parse_date(value: str) -> int | _TwoDigitYear | None:
    """Parse an HTTP-date; cached, because most responses of an origin have the same few dates."""
    match = next(filter(None, (form.fullmatch(value) for form in _DATE_FORMS)), None)
    if match is None:
        return None
    day, hour, minute, second = (int(match[part]) for part in ("day", "hour", "minute", "second"))
    if hour > 23 or minute > 59 or second > 60:
        return None
    month, year = _MONTHS.index(match["month"]) + 1, int(match["year"])
    if len(match["year"]) == 2:
        return _TwoDigitYear(year, month, day, (hour, minute, second))
    return _unix_time(year, month, day, (hour, minute, second)) if year >= _FIRST_YEAR else None


def parse_digest_field(text: str | None) -> str | None:
    """Return the strongest checksum in a Content-Digest or Repr-Digest (RFC 9530, section 2), in its normal form.

    Return None if none has a known algorithm. Malformed members and parameters (RFC 8941, section 3.1.2) are ignored.
    """
    if text is None:
        return None
    members = (_DIGEST_MEMBER.fullmatch(member.strip(_OWS)) for member in text.split(","))
    return _strongest_digest({member["name"]: member["value"] for member in members if member is not None})


def parse_legacy_digest(text: str | None) -> str | None:
    """Return the strongest checksum in a Digest (RFC 3230, section 4.3.2, extended by RFC 5843), in its normal form."""
    if text is None:
        return None
    members = (member.strip(_OWS).partition("=") for member in text.split(","))
    return _strongest_digest({name.lower(): value for name, _, value in members})


def _strongest_digest(members: Mapping[str, str]) -> str | None:
    for name, algorithm in _DIGEST_ALGORITHMS.items():
        with suppress(ValueError, InvalidParameterError):
            if name in members:
                return parse_checksum(f"{algorithm}={b64decode(members[name], validate=True).hex()}")
    return None


def _resolve_two_digit_year(date: _TwoDigitYear, now: float) -> int | None:
    """Return the latest date with these last two digits of the year that is at most 50 years after `now`."""
    year, month, day, time = date
    today = datetime.fromtimestamp(now, UTC)
    century = (today.year + 50) // 100 * 100
    if (century + year, month, day, *time) > (today.year + 50, *today.timetuple()[1:6]):
        century -= 100
    return _unix_time(century + year, month, day, time)


def _unix_time(year: int, month: int, day: int, time: tuple[int, int, int]) -> int | None:
    if not 1 <= day <= calendar.monthrange(year, month)[1]:
        return None
    return calendar.timegm((year, month, day, *time))


def parse_retry_after(text: str | None, *, now: float) -> float | None:
    """Parse Retry-After to seconds from `now` (Unix time), at least 0; None if it is invalid (RFC 9110, 10.2.3).

    The result may be very long; the caller limits it.
    """
    value = (text or "").strip(_OWS)
    if _DIGITS.fullmatch(value):
        return min(float(value), float(MAX_LENGTH_BYTES))
    until = parse_http_date(value, now=now)
    return None if until is None else max(0.0, until - now)
