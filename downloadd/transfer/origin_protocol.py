"""Protocol of a connection to an origin: limits before the final response, and no bytes after it."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any, Final

from aiohttp import ClientPayloadError, HttpVersion11, StreamReader
from aiohttp.client_proto import ResponseHandler
from aiohttp.http import HttpResponseParser, RawResponseMessage
from aiohttp.http_exceptions import HttpProcessingError

from downloadd.errors import StartupError
from downloadd.transfer.head_normalization import (
    MAX_HEAD_BYTES,
    PROTOCOL_PREFIX,
    MalformedHeadError,
    find_head_end,
    normalize_head,
)

MAX_INTERIM_RESPONSES: Final = 256
"""Interim responses (RFC 9110, section 15.2) before the final one."""
MAX_PRELIMINARY_BYTES: Final = 1 << 20
"""Bytes before the final response has its head: interim responses and empty lines."""

STATUSES_WITHOUT_CONTENT: Final = frozenset({101, 204, 304})
"""Statuses whose responses end with their head, whatever its fields are (RFC 9112, section 6.3, rule 1); after 101
another protocol begins (RFC 9110, section 15.2.2)."""

_COMPILED_PARSER: Final = "aiohttp._http_parser"


class SurplusError(ClientPayloadError):
    """Bytes were received behind the announced content: its length is wrong, or another message follows."""


def is_surplus(data: bytes) -> bool:
    """Return True if bytes behind a content are more than the empty line that some origins send there."""
    return bool(data.strip(b"\r\n"))


class OriginProtocol(ResponseHandler):
    """Connection to an origin; closed when it sends too much without a final response, or sends without a request."""

    _interim_count = 0
    _preliminary_bytes = 0
    _searched_bytes = 0
    _remaining_bytes: int | None = None
    """Bytes of the content that are still to be received; None if only the parser knows."""
    _content: StreamReader | None = None
    _is_idle = True

    def set_response_params(self, **parameters: Any) -> None:
        """Prepare for the response to the next request."""
        self._interim_count, self._preliminary_bytes, self._searched_bytes, self._remaining_bytes = 0, 0, 0, None
        self._content, self._is_idle = None, False
        self._head = bytearray()
        with _strict_parser():
            super().set_response_params(**parameters)

    def data_received(self, data: bytes) -> None:
        """Parse received bytes."""
        if self._is_idle and data:
            # They would be taken for the response to the next request (RFC 9112, section 9.2).
            if is_surplus(data):
                self._reject_surplus()
            elif self.transport is not None:
                self.transport.close()
            return
        # No bytes mean that the parser continues with its buffered bytes.
        is_empty = not data
        if data and self._content is None:
            data = self._parse_heads(data)
        surplus = b""
        if self._remaining_bytes is not None:
            data, surplus = data[: self._remaining_bytes], data[self._remaining_bytes :]
            self._remaining_bytes -= len(data)
        if data or is_empty:
            failed_before = self.exception() is not None
            super().data_received(data)
            if not failed_before and self.exception() is not None:
                self._fail_content()
        if is_surplus(surplus):
            self._reject_surplus()

    def feed_data(self, data: Any, size: int = 0) -> None:
        """Handle a parsed head."""
        if self._content is not None:
            self._reject_surplus()
            return
        head = data[0]
        if "chunked" in ",".join(head.headers.getall("Transfer-Encoding", ())).lower() and not head.chunked:
            # The parser has read the field otherwise: it would return the framing as content.
            self._abort("an ambiguous transfer coding")
            return
        code = head.code
        if code >= 200 or code == 101:
            self._content = data[1]
            self._content.on_eof(self._mark_idle)
            self._remaining_bytes = _content_length(head)
            if code in STATUSES_WITHOUT_CONTENT or (
                head.version < HttpVersion11 and "Transfer-Encoding" in head.headers
            ):
                # Bytes that follow would be taken for the response to the next request. An HTTP/1.0 origin does not
                # reliably frame its message (RFC 9112, section 6.1).
                self.force_close()
        else:
            self._interim_count += 1
        super().feed_data(data, size)

    def _parse_heads(self, data: bytes) -> bytes:
        """Pass complete heads to the parser, up to that of the final response; return the bytes behind that one."""
        self._preliminary_bytes += len(data)
        self._head += data
        # Received bytes are progress, though the parser does not have them yet.
        self.start_timeout()
        while self._content is None:
            if self._interim_count > MAX_INTERIM_RESPONSES:
                self._abort("too many interim responses")
                return b""
            head = self._pop_head()
            if head is None:
                if self._preliminary_bytes > MAX_PRELIMINARY_BYTES:
                    self._abort("too many bytes before the final response")
                return b""
            super().data_received(head)
            if self.exception() is not None:
                return b""
            if self._content is None:
                # The library stops its timer at an interim response.
                self.start_timeout()
        rest, self._head = bytes(self._head), bytearray()
        return rest

    def _pop_head(self) -> bytes | None:
        """Remove and return the next head in strict form; None if it is not complete, or malformed."""
        begin = len(self._head) - len(self._head.lstrip(b"\r\n"))
        del self._head[:begin]
        if not (PROTOCOL_PREFIX.startswith(self._head) or self._head.startswith(PROTOCOL_PREFIX)):
            self._abort("another protocol")
            return None
        end = find_head_end(self._head, self._searched_bytes - begin)
        self._searched_bytes = len(self._head)
        if end is None:
            if self._searched_bytes > MAX_HEAD_BYTES:
                self._abort("too long a head")
            return None
        head = bytes(self._head[:end])
        del self._head[:end]
        self._searched_bytes = 0
        try:
            return normalize_head(head)
        except MalformedHeadError as error:
            self._abort(str(error))
            return None

    def _reject_surplus(self) -> None:
        if self.transport is not None:
            self.transport.close()
        if self._content is not None:
            self._content.set_exception(SurplusError("more bytes than the announced content"))

    def _fail_content(self) -> None:
        """Pass an error of the parser on to the content: the library sets it on the connection only, in some cases."""
        if self._is_idle:
            self._reject_surplus()
        elif self._content is not None and self._content.exception() is None:
            self._content.set_exception(ClientPayloadError("the framing of the content is malformed"))

    def _mark_idle(self) -> None:
        self._is_idle = True

    def _abort(self, reason: str) -> None:
        if self.transport is not None:
            self.transport.close()
        self.set_exception(HttpProcessingError(code=400, message=reason))


def require_strict_parser() -> None:
    """Check that chunks can be parsed strictly.

    Raises:
        StartupError: the compiled parser is missing.
    """
    if HttpResponseParser.__module__ != _COMPILED_PARSER:
        raise StartupError(
            "aiohttp runs without its compiled HTTP parser, which strict parsing requires: install aiohttp from a "
            "wheel, and unset AIOHTTP_NO_EXTENSIONS"
        )


def _content_length(head: RawResponseMessage) -> int | None:
    """Return the bytes of the content behind a head, or None if it does not say (RFC 9112, section 6.3)."""
    if head.code in STATUSES_WITHOUT_CONTENT or "Transfer-Encoding" in head.headers:
        return None
    length = head.headers.get("Content-Length")
    return None if length is None else int(length)


@contextmanager
def _strict_parser() -> Iterator[None]:
    """Make parsers that are created inside strict about chunks.

    The library has no public option for it. A lenient parser takes the carriage return behind a chunk for content if
    the chunk's size includes it (RFC 9112, section 7.1); heads are normalized before.
    """
    parsers: Any = import_module(_COMPILED_PARSER)
    before, parsers.DEBUG = parsers.DEBUG, True
    try:
        yield
    finally:
        parsers.DEBUG = before
