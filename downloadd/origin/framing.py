"""Framing of the content of a response: its length, chunks, or the end of the connection (RFC 9112, section 6).

A decoder takes the bytes of a connection behind a head, and returns those that are content. Pure: no I/O and no clock.
"""

import re
from abc import ABC, abstractmethod
from typing import Final

from downloadd.origin.message_head import (
    MAX_HEAD_BYTES,
    MalformedResponseError,
    MessageHead,
    UnsupportedCodingError,
    parse_field_lines,
)

STATUSES_WITHOUT_CONTENT: Final = frozenset({101, 204, 304})
"""Statuses whose responses end with their head, whatever its fields are (RFC 9112, section 6.3, rule 1); after 101
another protocol begins (RFC 9110, section 15.2.2)."""

MAX_CHUNK_LINE_BYTES: Final = 128 * 1024
"""Bytes in the line with the size of a chunk; its extensions may be long."""
MAX_TRAILER_BYTES: Final = MAX_HEAD_BYTES
"""Bytes of the trailer section."""

_MAX_LENGTH: Final = 2**62
"""Bytes; no representation is longer."""
_LENGTH: Final = re.compile(r"[0-9]{1,40}")
_CHUNK_SIZE: Final = re.compile(rb"([0-9A-Fa-f]+)(?:[ \t]*;[^\x00\r\n]*)?")
_MAX_CHUNK_DIGITS: Final = 15
_FORBIDDEN_IN_TRAILER: Final = re.compile(rb"[\x00\r\n]")


class ContentDecoder(ABC):
    """Decoder of one content.

    Attributes:
        is_complete: True after the last byte of the content.
        surplus: bytes that were received behind the content.
        is_ended_by_close: True if the content ends with the connection.
    """

    is_ended_by_close = False

    def __init__(self) -> None:
        self.is_complete = False
        self.surplus = b""

    @abstractmethod
    def decode(self, data: bytes) -> bytes:
        """Return the bytes of `data` that are content.

        Raises:
            MalformedResponseError: the framing is malformed.
        """


class LengthDecoder(ContentDecoder):
    """Decoder of a content of known length.

    Attributes:
        remaining: bytes that are still to be received.
    """

    def __init__(self, length: int) -> None:
        super().__init__()
        self.remaining = length
        self.is_complete = not length

    def decode(self, data: bytes) -> bytes:
        """Return the bytes of `data` that are content."""
        if len(data) > self.remaining:
            data, self.surplus = data[: self.remaining], self.surplus + data[self.remaining :]
        self.skip(len(data))
        return data

    def skip(self, nbytes: int) -> None:
        """Count bytes of the content that another reader has received."""
        self.remaining -= nbytes
        self.is_complete = not self.remaining


class CloseDecoder(ContentDecoder):
    """Decoder of a content that ends with the connection."""

    is_ended_by_close = True

    def decode(self, data: bytes) -> bytes:
        """Return `data`."""
        return data


class ChunkDecoder(ContentDecoder):
    """Decoder of a content in chunks (RFC 9112, section 7.1), strict about their framing.

    A lenient one takes the line end behind a chunk for content if the size of the chunk includes it.
    """

    def __init__(self) -> None:
        super().__init__()
        self._line = bytearray()
        """Start of a line that is not complete."""
        self._chunk = 0
        """Bytes that the present chunk still has, its line end not included."""
        self._is_behind_chunk = False
        self._trailer: list[bytes] | None = None
        """Lines of the trailer section, once it has begun."""
        self._trailer_bytes = 0

    def decode(self, data: bytes) -> bytes:
        """Return the bytes of `data` that are content.

        Raises:
            MalformedResponseError: the framing is malformed.
        """
        if self._line:
            searched = len(self._line) - 1
            self._line += data
            if self._line.find(b"\r\n", searched) < 0:
                self._check_line(len(self._line))
                return b""
            data = bytes(self._line)
            self._line.clear()
        content: list[bytes] = []
        position = 0
        while not self.is_complete:
            if self._chunk:
                piece = data[position : position + self._chunk]
                content.append(piece)
                position += len(piece)
                self._chunk -= len(piece)
                if self._chunk:
                    break
                self._is_behind_chunk = True
            end = data.find(b"\r\n", position)
            self._check_line((len(data) if end < 0 else end) - position)
            if end < 0:
                break
            self._parse_line(data[position:end])
            position = end + 2
        if self.is_complete:
            self.surplus += data[position:]
        else:
            self._line += data[position:]
        return content[0] if len(content) == 1 else b"".join(content)

    def _check_line(self, length: int) -> None:
        if self._is_behind_chunk and length > 1:
            raise MalformedResponseError("a chunk that does not end where its size says")
        if self._trailer is None and length > MAX_CHUNK_LINE_BYTES:
            raise MalformedResponseError("too long a chunk size or extension")
        if self._trailer_bytes + length > MAX_TRAILER_BYTES:
            raise MalformedResponseError("too long a trailer section")

    def _parse_line(self, line: bytes) -> None:
        if self._is_behind_chunk:
            if line:
                raise MalformedResponseError("a chunk that does not end where its size says")
            self._is_behind_chunk = False
        elif self._trailer is None:
            self._chunk = _parse_chunk_size(line)
            if not self._chunk:
                self._trailer = []
        elif line:
            if _FORBIDDEN_IN_TRAILER.search(line):
                raise MalformedResponseError("a NUL or a lone line end in the trailer section")
            self._trailer.append(line)
            self._trailer_bytes += len(line) + 2
        else:
            parse_field_lines(b"\n".join(self._trailer))
            self.is_complete = True


def make_decoder(head: MessageHead) -> ContentDecoder:
    """Return the decoder of the content behind a head.

    Raises:
        MalformedResponseError: the fields contradict each other, or the content has another framing.
    """
    lengths, codings = head.fields.getall("Content-Length", []), head.fields.getall("Transfer-Encoding", None)
    length = None if not lengths else _parse_length(lengths)
    if codings is not None:
        # Content-Length beside it may be an attempt to make two parsers read different messages (section 6.3, rule 3).
        if lengths:
            raise MalformedResponseError("both Content-Length and Transfer-Encoding")
        if len(codings) != 1 or codings[0].encode(errors="surrogateescape").lower() != b"chunked":
            raise UnsupportedCodingError("a transfer coding other than chunked")
    if head.status in STATUSES_WITHOUT_CONTENT:
        return LengthDecoder(0)
    if codings is not None:
        return ChunkDecoder()
    return CloseDecoder() if length is None else LengthDecoder(length)


def may_reuse(head: MessageHead) -> bool:
    """Return True if the connection may have another request after the content (RFC 9112, section 9.3)."""
    if head.version < (1, 1) or head.status in STATUSES_WITHOUT_CONTENT:
        # An HTTP/1.0 origin does not reliably frame its message (section 6.1); bytes that follow a status without
        # content would be taken for the response to the next request.
        return False
    options = ",".join(head.fields.getall("Connection", [])).lower().split(",")
    return "close" not in (option.strip(" \t") for option in options)


def is_surplus(data: bytes) -> bool:
    """Return True if bytes behind a content are more than the empty line that some origins send there."""
    return bool(data.strip(b"\r\n"))


def _parse_length(values: list[str]) -> int:
    # A repaired list of equal lengths (RFC 9112, section 6.3, rule 5) is as ambiguous as two fields.
    if len(values) != 1 or not _LENGTH.fullmatch(values[0]) or not values[0].isascii():
        raise MalformedResponseError("a malformed Content-Length")
    length = int(values[0])
    if length > _MAX_LENGTH:
        raise MalformedResponseError("a Content-Length that no file has")
    return length


def _parse_chunk_size(line: bytes) -> int:
    found = _CHUNK_SIZE.fullmatch(line)
    digits = b"" if found is None else found[1].lstrip(b"0")
    if found is None or len(digits) > _MAX_CHUNK_DIGITS:
        raise MalformedResponseError("a malformed chunk size")
    return int(digits or b"0", 16)
