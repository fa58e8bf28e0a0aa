"""Conditions and ranges of a request for the content of a file (RFC 9110, sections 13 and 14).

Pure: no I/O and no clock.
"""

import re
from collections.abc import Mapping
from email.utils import formatdate, parsedate_to_datetime
from typing import Final

import msgspec

from downloadd.errors import PreconditionFailedError, RangeNotSatisfiableError

_ENTITY_TAG: Final = re.compile(r'(?:W/)?"[\x21\x23-\x7e\x80-\U0010ffff]*"')
_RANGE: Final = re.compile(r"bytes=[ \t]*(\d{0,19})-(\d{0,19})[ \t]*", re.ASCII | re.IGNORECASE)


class Representation(msgspec.Struct, frozen=True, kw_only=True):
    """The content of a file, with its validators."""

    size: int
    entity_tag: str
    """A strong one, in quotes."""
    modified: int
    """Unix seconds."""

    @property
    def last_modified(self) -> str:
        """Value of `Last-Modified`."""
        return formatdate(self.modified, usegmt=True)


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """Status of a response, and the bytes that it has."""

    status: int
    """200, 206 or 304."""
    start: int = 0
    end: int = 0
    """After the last byte."""


def select_content(method: str, headers: Mapping[str, str], file: Representation) -> Selection:
    """Return what a request gets, in the order of RFC 9110, section 13.2.2.

    Several ranges at once are answered with the whole content, as section 14.2 allows.

    Raises:
        PreconditionFailedError: the file is another one than `If-Match` or `If-Unmodified-Since` names.
        RangeNotSatisfiableError: the range begins after the end.
    """
    if "If-Match" in headers:
        if not _matches(headers["If-Match"], file.entity_tag, is_weak=False):
            raise PreconditionFailedError
    elif (limit := _parse_date(headers.get("If-Unmodified-Since"))) is not None and file.modified > limit:
        raise PreconditionFailedError
    if "If-None-Match" in headers:
        if _matches(headers["If-None-Match"], file.entity_tag, is_weak=True):
            return Selection(status=304)
    elif (known := _parse_date(headers.get("If-Modified-Since"))) is not None and file.modified <= known:
        return Selection(status=304)
    whole = Selection(status=200, end=file.size)
    # The method GET alone has ranges (section 14.2).
    if method != "GET" or "Range" not in headers or not _is_range_current(headers.get("If-Range"), file):
        return whole
    return _select_range(headers["Range"], file.size) or whole


def _select_range(field: str, size: int) -> Selection | None:
    """Return the bytes of a single range; None for a field to ignore."""
    found = _RANGE.fullmatch(field.strip())
    if found is None or found.group(0).strip().endswith("=-"):
        return None
    first, last = found[1], found[2]
    if not first:
        start, end = max(0, size - int(last)), size
    else:
        start, end = int(first), min(int(last) + 1, size) if last else size
        if last and int(last) < start:
            return None
    if start >= size or (not first and not int(last)):
        raise RangeNotSatisfiableError(size)
    return Selection(status=206, start=start, end=end)


def _is_range_current(condition: str | None, file: Representation) -> bool:
    """Return True if a range of the file continues the representation that `If-Range` names."""
    if condition is None:
        return True
    # Both by equality (section 13.1.5): a weak tag never matches, and the date is that of this file or not.
    return condition.strip() in {file.entity_tag, file.last_modified}


def _matches(field: str, entity_tag: str, *, is_weak: bool) -> bool:
    if field.strip() == "*":
        return True
    tags = _ENTITY_TAG.findall(field)
    return entity_tag in ([tag.removeprefix("W/") for tag in tags] if is_weak else tags)


def _parse_date(field: str | None) -> float | None:
    """Return the Unix time of a date; None if there is none, or one to ignore."""
    if field is None:
        return None
    try:
        return parsedate_to_datetime(field).timestamp()
    except (ValueError, OverflowError):
        return None
