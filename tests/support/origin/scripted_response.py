"""Responses of the scripted origin: one struct for each, and the bytes of its head."""

import asyncio
import time
from collections.abc import Sequence
from email.utils import formatdate
from enum import Enum
from typing import Final

import msgspec

from .content import expected_bytes

REASONS: Final = {
    200: "OK",
    203: "Non-Authoritative Information",
    204: "No Content",
    206: "Partial Content",
    301: "Moved Permanently",
    302: "Found",
    303: "See Other",
    304: "Not Modified",
    307: "Temporary Redirect",
    308: "Permanent Redirect",
    403: "Forbidden",
    404: "Not Found",
    410: "Gone",
    412: "Precondition Failed",
    416: "Range Not Satisfiable",
    429: "Too Many Requests",
    500: "Internal Server Error",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
}

FIXED_LAST_MODIFIED: Final = 784_111_777
"""Sun, 06 Nov 1994 08:49:37 GMT."""


class Cut(Enum):
    """Kind of end of a connection that is cut."""

    RESET = "reset"
    """RST: the peer's read fails."""
    FIN = "fin"
    """An orderly end of the stream."""


class Framing(Enum):
    """Framing of a body (RFC 9112, section 6)."""

    LENGTH = "length"
    CHUNKED = "chunked"
    CLOSE = "close"
    """By the end of the connection."""


class ScriptedResponse(msgspec.Struct, frozen=True, kw_only=True):
    """One scripted response. The default is an empty 200 that a client can keep the connection after.

    Every offset (`cut_after`, `stall_after`) counts bytes of the content of this response, behind its head; a cut comes
    when all bytes before it have reached the peer.
    """

    # the representation
    size: int = 0
    """Bytes of synthetic content, see `expected_bytes`; not held in memory."""
    seed: int = 0
    """Seed of the synthetic content: another seed is another version."""
    body: bytes | None = None
    """Content in place of the synthetic one."""
    etag: str | None = None
    """The ETag as sent, quotes included: `'"v1"'`."""
    last_modified: int | str | None = None
    """Unix time, or the field's value as sent."""
    content_type: str | None = "application/octet-stream"

    # the status and the fields
    status: int = 200
    reason: str | None = None
    date: int | str | None = "now"
    """Unix time, the field's value as sent, "now", or None to leave it out."""
    headers: Sequence[tuple[str, str]] = ()
    """More fields, sent as they are (UTF-8, lone surrogates as raw octets), behind the others."""
    raw_head: bytes | None = None
    """The whole head as sent, final blank line included; nothing else of a head is sent then."""
    raw_pause: float = 0
    """Seconds between the head and the content of `raw`."""
    raw: bytes | None = None
    """The whole response as sent (`b""`: none at all); then the connection ends, by `cut` when `cut_after` is given."""
    interim: bytes = b""
    """Sent before the head, such as a `103 Early Hints` response."""

    # ranges
    honour_ranges: bool = True
    """Answer 206 to a single satisfiable range when `If-Range`, if there is one, matches; 416 to one past the end."""
    honour_if_range: bool = True
    """False: ignore `If-Range` and serve the range, as broken origins do."""
    content_range: str | None = None
    """The Content-Range of a 206 or 416 in place of the true one; "" leaves it out."""

    # the body
    framing: Framing = Framing.LENGTH
    content_length: int | str | None = None
    """The Content-Length in place of the true one."""
    keep_alive: bool = True
    """False: `Connection: close`, and closed after the response."""

    # timing and faults
    delay: float = 0
    """Seconds before the head."""
    body_event: asyncio.Event | None = None
    """Event that the body waits for; the head is sent before."""
    head_event: asyncio.Event | None = None
    """Event that the head waits for."""
    rate: int = 0
    """Bytes a second of the body; 0: no limit."""
    cut_after: int | None = None
    """Bytes of the content after which the connection ends."""
    cut: Cut = Cut.RESET
    stall_after: int | None = None
    """Bytes of the content after which nothing is sent; the connection stays open."""


def redirect(location: str, status: int = 302) -> ScriptedResponse:
    """Return a redirect to `location`, which is sent unchanged."""
    return ScriptedResponse(status=status, headers=[("Location", location)], content_type=None)


def error_response(status: int, *, retry_after: str | None = None) -> ScriptedResponse:
    """Return an error page."""
    fields = [] if retry_after is None else [("Retry-After", retry_after)]
    return ScriptedResponse(status=status, headers=fields, body=b"this is an error page\n", content_type="text/plain")


class PlannedResponse(msgspec.Struct, frozen=True, kw_only=True):
    """Response to one request: its head, and the range of the representation that follows."""

    head: bytes
    start: int
    end: int
    framing: Framing
    close: bool


def plan_response(
    answer: ScriptedResponse, *, method: str, range_field: str | None, if_range: str | None
) -> PlannedResponse:
    """Return the response to a request."""
    size = answer.size if answer.body is None else len(answer.body)
    status, start, end, content_range = answer.status, 0, size, ""
    wanted = _first_position(range_field) if answer.honour_ranges and answer.status == 200 else None
    if wanted is not None and (not answer.honour_if_range or _if_range_matches(answer, if_range)):
        first, last = wanted
        if first >= size:
            status, end, content_range = 416, 0, f"bytes */{size}"
        else:
            start, end = first, size if last is None else min(size, last + 1)
            status, content_range = 206, f"bytes {start}-{end - 1}/{size}"
    if answer.content_range is not None and status in {206, 416}:
        content_range = answer.content_range

    fields: list[tuple[str, str]] = []
    for name, value in (
        ("Date", _date(answer.date)),
        ("Content-Type", answer.content_type),
        ("ETag", answer.etag if status != 416 else None),
        ("Last-Modified", _date(answer.last_modified) if status != 416 else None),
        ("Content-Range", content_range or None),
        ("Accept-Ranges", "bytes" if answer.honour_ranges and status in {200, 206} else None),
    ):
        if value is not None:
            fields.append((name, value))
    close = not answer.keep_alive or answer.framing is Framing.CLOSE
    if answer.content_length is not None:
        fields.append(("Content-Length", str(answer.content_length)))
    elif answer.framing is Framing.LENGTH and status not in {204, 304}:
        fields.append(("Content-Length", str(end - start)))
    if answer.framing is Framing.CHUNKED:
        fields.append(("Transfer-Encoding", "chunked"))
    if close:
        fields.append(("Connection", "close"))
    fields.extend(answer.headers)
    reason = answer.reason if answer.reason is not None else REASONS.get(status, "Whatever")
    lines = [f"HTTP/1.1 {status} {reason}", *(f"{name}: {value}" for name, value in fields)]
    head = "".join(f"{line}\r\n" for line in lines).encode("utf-8", "surrogateescape") + b"\r\n"
    if answer.raw_head is not None:
        head = answer.raw_head
    if method == "HEAD" or status in {204, 304}:
        end = start
    return PlannedResponse(head=answer.interim + head, start=start, end=end, framing=answer.framing, close=close)


def content(answer: ScriptedResponse, start: int, end: int) -> bytes:
    """Return the bytes from `start` up to `end` of the representation."""
    return answer.body[start:end] if answer.body is not None else expected_bytes(answer.seed, start, end)


def _first_position(range_field: str | None) -> tuple[int, int | None] | None:
    unit, _, span = (range_field or "").partition("=")
    first, dash, last = span.partition("-")
    if unit.strip().lower() != "bytes" or not dash or not first.isdigit() or not (last.isdigit() or not last):
        return None
    return int(first), int(last) if last else None


def _if_range_matches(answer: ScriptedResponse, if_range: str | None) -> bool:
    """Return True if the range may be served (RFC 9110, section 13.1.5)."""
    if if_range is None:
        return True
    if if_range.startswith('"'):
        return if_range == answer.etag
    return not if_range.startswith("W/") and if_range == _date(answer.last_modified)


def _date(value: float | str | None) -> str | None:
    if value == "now":
        return formatdate(time.time(), usegmt=True)
    return value if value is None or isinstance(value, str) else formatdate(value, usegmt=True)
