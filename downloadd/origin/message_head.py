"""Heads of responses, parsed strictly by RFC 9112.

If two parsers read one head differently, framing is saved as content, or one response is taken for two. So deviations
that RFC 9112 lets a user agent repair are repaired here, and all others are refused. Pure: no I/O and no clock.
"""

import re
from typing import Final

import msgspec
from multidict import CIMultiDict

from downloadd.request_fields import HTTP_TOKEN

MAX_HEAD_BYTES: Final = 256 * 1024
"""Bytes in a head."""
MAX_HEAD_LINES: Final = 1_000
"""Lines in a head; a flood of small fields must not block the event loop."""
PROTOCOL_PREFIX: Final = b"HTTP/"
"""Start of each head (RFC 9112, section 2.3)."""

_STATUS_LINE: Final = re.compile(rb"HTTP/([0-9])\.([0-9]) ([1-9][0-9]{2})(?: .*)?", re.DOTALL)
"""RFC 9112, section 4; some origins leave out the blank behind the status."""
_HEAD_END: Final = re.compile(rb"\n\r?\n")
_FIELD_LINE: Final = re.compile(rb"^(%b)[ \t]*:(.*)$" % HTTP_TOKEN.pattern.encode(), re.MULTILINE)
"""A name, a colon and a value."""
_FOLD: Final = re.compile(rb"\n(?=[ \t])")
_FORBIDDEN: Final = re.compile(rb"[\x00\r]")
_CONTROL: Final = re.compile(rb"[\x01-\x08\x0b-\x1f\x7f]")

_FRAMING_FIELDS: Final = frozenset({b"content-length", b"transfer-encoding"})
"""Fields that frame the content; they are not repaired."""
_FIRST_WINS_FIELDS: Final = frozenset(
    {b"content-location", b"content-type", b"host", b"max-forwards", b"server", b"user-agent"}
)
"""Fields that may occur once, and that some origins send twice; the first is used."""
_MUST_MATCH_FIELDS: Final = frozenset({b"content-range", b"etag", b"last-modified", b"location"})
"""Fields that may occur once; if several differ, none is used."""


class MalformedResponseError(ValueError):
    """Response that is malformed or ambiguous; the message says in which way."""


class UnsupportedCodingError(MalformedResponseError):
    """Response in a transfer coding other than chunked, which was not requested (RFC 9112, section 6.1)."""


class MessageHead(msgspec.Struct, frozen=True, kw_only=True):
    """Head of one response."""

    version: tuple[int, int]
    """Major and minor version of HTTP."""
    status: int
    fields: CIMultiDict[str]
    """Values by name, decoded as UTF-8; other octets are the surrogates U+DC80 to U+DCFF (PEP 383)."""


def find_head_end(data: bytes | bytearray, begin: int = 0) -> int | None:
    """Return the end of a head, its empty line included, or None if it is not complete.

    Bytes before `begin` were searched before.
    """
    found = _HEAD_END.search(data, max(0, begin - 2))
    return None if found is None else found.end()


def parse_message_head(head: bytes) -> MessageHead:
    """Parse a head, its empty line included.

    Repaired are lines that end with a line feed alone (RFC 9112, section 2.2), blanks before a colon (section 5.1),
    folded values (section 5.2), control characters in values (RFC 9110, section 5.5), and repeated fields.

    Raises:
        MalformedResponseError: it cannot be repaired.
    """
    start, fields = split_head(head)
    found = _STATUS_LINE.fullmatch(start)
    if found is None:
        raise MalformedResponseError("a malformed status line")
    return MessageHead(
        version=(int(found[1]), int(found[2])),
        status=int(found[3]),
        fields=CIMultiDict([(name.decode(), value.decode(errors="surrogateescape")) for name, value in fields]),
    )


def split_head(head: bytes) -> tuple[bytes, list[tuple[bytes, bytes]]]:
    """Return the start line of a head, and its fields in a form that every parser reads in the same way.

    Raises:
        MalformedResponseError: there is no such form.
    """
    if head.count(b"\n") > MAX_HEAD_LINES:
        raise MalformedResponseError("too many lines in a head")
    head = head.replace(b"\r\n", b"\n")
    if _FORBIDDEN.search(head):
        raise MalformedResponseError("a NUL or a lone carriage return in a head")
    start, _, lines = head.partition(b"\n")
    if not start.startswith(PROTOCOL_PREFIX):
        raise MalformedResponseError("another protocol")
    return start, parse_field_lines(lines.rstrip(b"\n"))


def parse_field_lines(lines: bytes) -> list[tuple[bytes, bytes]]:
    """Return names and values of field lines, which line feeds separate.

    Raises:
        MalformedResponseError: a line is malformed.
    """
    if not lines:
        return []
    if lines[:1] in {b" ", b"\t"}:
        raise MalformedResponseError("a folded line before the first field")
    if b"\n " in lines or b"\n\t" in lines:
        lines = _FOLD.sub(b" ", lines)
    fields = _FIELD_LINE.findall(lines)
    if len(fields) != lines.count(b"\n") + 1:
        raise MalformedResponseError("a line that is not a field")
    if _CONTROL.search(lines):
        fields = [
            (name, value if name.lower() in _FRAMING_FIELDS else _CONTROL.sub(b" ", value)) for name, value in fields
        ]
    return _drop_repeated_fields([(name, value.strip(b" \t")) for name, value in fields])


def _drop_repeated_fields(fields: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    if len({name.lower() for name, _ in fields}) == len(fields):
        return fields
    values: dict[bytes, list[bytes]] = {}
    for name, value in fields:
        values.setdefault(name.lower(), []).append(value)
    kept: list[tuple[bytes, bytes]] = []
    for name, value in fields:
        key = name.lower()
        repeated = values[key]
        if key in _MUST_MATCH_FIELDS and len(set(repeated)) > 1:
            continue
        if key in _MUST_MATCH_FIELDS or key in _FIRST_WINS_FIELDS:
            if not repeated:
                continue
            repeated.clear()
        kept.append((name, value))
    return kept
