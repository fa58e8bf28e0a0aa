"""What of an origin's talk is listened to: so much before its answer, and nothing after it."""

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
"""Of everything before the final response has its head: interim ones, and empty lines."""

STATUSES_WITHOUT_CONTENT: Final = frozenset({101, 204, 304})
"""Statuses whose responses end with their head, whatever it says (RFC 9112, section 6.3, rule 1), be it that another
protocol begins there (RFC 9110, section 15.2.2)."""


_COMPILED_PARSER: Final = "aiohttp._http_parser"


class SurplusError(ClientPayloadError):
    """More came than the content that was announced: where it ends is a lie, or the message is not alone."""


def is_surplus(data: bytes) -> bool:
    """Whether bytes behind a content are more than the empty line that some origins send there."""
    return bool(data.strip(b"\r\n"))


class OriginProtocol(ResponseHandler):
    """A connection to an origin, given up when it talks on and on without an answer, or when nobody has request."""

    _interim_count = 0
    _preliminary_bytes = 0
    _searched_bytes = 0
    _remaining_bytes: int | None = None
    """Bytes of the content that are still to come; None if only the parser knows."""
    _content: StreamReader | None = None
    _is_idle = True

    def set_response_params(self, **parameters: Any) -> None:
        """The next request goes out."""
        self._interim_count, self._preliminary_bytes, self._searched_bytes, self._remaining_bytes = 0, 0, 0, None
        self._content, self._is_idle = None, False
        self._head = bytearray()
        with _strict_parser():
            super().set_response_params(**parameters)

    def data_received(self, data: bytes) -> None:
        """Bytes came."""
        if self._is_idle and data:
            # They would be taken for the answer to the next request (RFC 9112, section 9.2).
            if is_surplus(data):
                self._reject_surplus()
            elif self.transport is not None:
                self.transport.close()
            return
        # Nothing at all means that the parser is to go on with what it has.
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
        """The head of a response came."""
        if self._content is not None:
            self._reject_surplus()
            return
        head = data[0]
        if "chunked" in ",".join(head.headers.getall("Transfer-Encoding", ())).lower() and not head.chunked:
            # The parser has understood the field otherwise: it would give out the framing as content.
            self._abort("a transfer coding that is not what it seems")
            return
        code = head.code
        if code >= 200 or code == 101:
            self._content = data[1]
            self._content.on_eof(self._mark_idle)
            self._remaining_bytes = _content_length(head)
            if code in STATUSES_WITHOUT_CONTENT or (
                head.version < HttpVersion11 and "Transfer-Encoding" in head.headers
            ):
                # What follows all the same would be taken for the answer to the next request. Whoever speaks HTTP/1.0
                # cannot be relied on to know where its message ends (RFC 9112, section 6.1).
                self.force_close()
        else:
            self._interim_count += 1
        super().feed_data(data, size)

    def _parse_heads(self, data: bytes) -> bytes:
        """Lets the parser have every head that is there, up to that of the answer; what follows that one."""
        self._preliminary_bytes += len(data)
        self._head += data
        # What has come is progress, though the parser is not told of it yet.
        self.start_timeout()
        while self._content is None:
            if self._interim_count > MAX_INTERIM_RESPONSES:
                self._abort("interim responses without an end")
                return b""
            head = self._pop_head()
            if head is None:
                if self._preliminary_bytes > MAX_PRELIMINARY_BYTES:
                    self._abort("no answer, and no end of what comes before it")
                return b""
            super().data_received(head)
            if self.exception() is not None:
                return b""
            if self._content is None:
                # The library takes an interim response for the end of all waiting.
                self.start_timeout()
        rest, self._head = bytes(self._head), bytearray()
        return rest

    def _pop_head(self) -> bytes | None:
        """The next head, strict, once it is there, and nothing else that has come; None before, or if it is none."""
        begin = len(self._head) - len(self._head.lstrip(b"\r\n"))
        del self._head[:begin]
        if not (PROTOCOL_PREFIX.startswith(self._head) or self._head.startswith(PROTOCOL_PREFIX)):
            self._abort("another protocol")
            return None
        end = find_head_end(self._head, self._searched_bytes - begin)
        self._searched_bytes = len(self._head)
        if end is None:
            if self._searched_bytes > MAX_HEAD_BYTES:
                self._abort("a head without an end")
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
            self._content.set_exception(SurplusError("more came than the content that was announced"))

    def _fail_content(self) -> None:
        """What the parser cannot read is told of the connection, and not always of the content that is waited for."""
        if self._is_idle:
            self._reject_surplus()
        elif self._content is not None and self._content.exception() is None:
            self._content.set_exception(ClientPayloadError("the framing of the content is malformed"))

    def _mark_idle(self) -> None:
        self._is_idle = True

    def _abort(self, why: str) -> None:
        if self.transport is not None:
            self.transport.close()
        self.set_exception(HttpProcessingError(code=400, message=why))


def require_strict_parser() -> None:
    """Sees to it that chunks can be read strictly.

    Raises:
        StartupError: they cannot.
    """
    if HttpResponseParser.__module__ != _COMPILED_PARSER:
        raise StartupError(
            "aiohttp runs without its compiled HTTP parser, which alone can be strict: install it from a wheel, and "
            "leave AIOHTTP_NO_EXTENSIONS unset"
        )


def _content_length(head: RawResponseMessage) -> int | None:
    """Bytes of the content that follows a head, if it says so (RFC 9112, section 6.3)."""
    if head.code in STATUSES_WITHOUT_CONTENT or "Transfer-Encoding" in head.headers:
        return None
    length = head.headers.get("Content-Length")
    return None if length is None else int(length)


@contextmanager
def _strict_parser() -> Iterator[None]:
    """Lets the parser that is made within be strict about chunks.

    The library has no public way to say so. A lenient one takes the carriage return behind a chunk for content, if the
    chunk's size says so (RFC 9112, section 7.1); heads are strict before it sees them.
    """
    parsers: Any = import_module(_COMPILED_PARSER)
    before, parsers.DEBUG = parsers.DEBUG, True
    try:
        yield
    finally:
        parsers.DEBUG = before
