"""Elements of JSON arrays one by one, from pieces of their text, so that memory does not grow with an array.

Only the end of each element is found here; a JSON parser decodes it. So one element that is malformed, or holds bytes
that are not UTF-8, does not hide the elements after it, and one that is too long takes no memory. A streaming parser
(ijson) ends at the first such element, without those after it. Pure: no I/O and no clock.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Final

MAX_ELEMENT_BYTES: Final = 2 << 20
"""Bytes of an element; an escaped message of Slack with its attachments is below half a MiB."""
MAX_ELEMENTS: Final = 2_000_000
"""Elements of an array."""

# A search blocks all threads of the interpreter while it runs, so that each is limited to a window of this size.
_WINDOW_BYTES: Final = 256 * 1024
_MIN_COMPACTED_BYTES: Final = 1 << 20
"""Bytes before the position that are kept until they are removed together."""
_NESTED_LEVELS: Final = 6
"""Levels of an element that one search matches; the loop of `_skip_container` finds the end of deeper ones."""
_STRING: Final = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_UP_TO_BRACKET: Final = re.compile(rb'[^"\[\]{}]*+(?:%s[^"\[\]{}]*+)*+' % _STRING, re.DOTALL)
_UP_TO_QUOTE: Final = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+)*+', re.DOTALL)
_SCALAR: Final = re.compile(rb'[^ \t\r\n,"\[\]{}]*+')
_BLANK: Final = re.compile(rb"[ \t\r\n]*+")
_OPENING: Final = frozenset(b"[{")
_CLOSING: Final = frozenset(b"]}")
_QUOTE, _BACKSLASH = b'"\\'


def _container_pattern(levels: int) -> bytes:
    inner = _STRING if levels == 0 else rb"(?:%s|%s)" % (_STRING, _container_pattern(levels - 1))
    return rb'[\[{][^"\[\]{}]*+(?:%s[^"\[\]{}]*+)*+[\]}]' % inner


_CONTAINER: Final = re.compile(_container_pattern(_NESTED_LEVELS), re.DOTALL)
"""An array or object; the parser checks that its brackets match."""


class InvalidArrayError(ValueError):
    """Data that is not an array, is truncated, or has too many elements."""


def read_elements(pieces: Iterable[bytes]) -> Iterator[bytes | None]:
    """Yield the JSON of each element; None for one that is longer than `MAX_ELEMENT_BYTES`.

    The pieces are the text of the array, cut anywhere. No text, and `null`, which some programs write in place of an
    empty array, have no elements.

    Raises:
        InvalidArrayError: after the elements before the error.
    """
    text = _Text(pieces)
    first = text.next_byte()
    if first is None or (first == ord("n") and _is_null(text)):
        return
    if first != ord("["):
        raise InvalidArrayError("it does not begin as an array")
    yield from _take_elements(text)
    if text.next_byte() is not None:
        raise InvalidArrayError("it does not end as an array")


def read_arrays(pieces: Iterable[bytes]) -> Iterator[tuple[bytes, bytes | None]]:
    """Yield the JSON of each element of the arrays that are members of an object, with the name of the array.

    A name is the text between its quotation marks; other members are left out. None is an element that is longer than
    `MAX_ELEMENT_BYTES`.

    Raises:
        InvalidArrayError: after the elements before the error: the text is not an object, or is truncated.
    """
    text = _Text(pieces)
    if text.next_byte() != ord("{"):
        raise InvalidArrayError("it does not begin as an object")
    text.position += 1
    mark = ord(",")
    if text.next_byte() == ord("}"):
        mark = ord("}")
        text.position += 1
    while mark == ord(","):
        name = _take_value(text) if text.next_byte() == _QUOTE else None
        if name is None or text.next_byte() != ord(":"):
            raise InvalidArrayError("a member has no name")
        text.position += 1
        if text.next_byte() == ord("["):
            for element in _take_elements(text):
                yield name[1:-1], element
        else:
            _take_value(text)
        mark = text.next_byte() or 0
        if mark in b",}":
            text.position += 1
            text.next_byte()
    if mark != ord("}") or text.next_byte() is not None:
        raise InvalidArrayError("it does not end as an object")


def _take_elements(text: "_Text") -> Iterator[bytes | None]:
    """Yield the elements of the array at the position, and move behind it."""
    text.position += 1
    mark = ord("]") if text.next_byte() == ord("]") else ord(",")
    count = 0
    while mark == ord(","):
        text.next_byte()
        count += 1
        if count > MAX_ELEMENTS:
            raise InvalidArrayError(f"it has more than {MAX_ELEMENTS} elements")
        yield _take_value(text)
        following = text.next_byte()
        if following is None or following not in b",]":
            break
        mark = following
        if mark == ord(","):
            text.position += 1
    if mark != ord("]") or text.next_byte() != ord("]"):
        raise InvalidArrayError("it does not end as an array")
    text.position += 1


class _Text:
    """Window over the pieces of a text.

    Attributes:
        data: the bytes that are in memory.
        position: index in `data` of the next byte.
        start: index in `data` of the element under way; None if its bytes are not kept.
    """

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)
        self.data = bytearray()
        self.position = 0
        self.start: int | None = None
        self.is_too_long = False

    def extend(self) -> bool:
        """Append the next piece; return False at the end of the text. Bytes that are not needed are removed."""
        if self.start is not None and self.position - self.start > MAX_ELEMENT_BYTES:
            self.start, self.is_too_long = None, True
        kept = self.position if self.start is None else self.start
        if kept >= min(_MIN_COMPACTED_BYTES, len(self.data)):
            del self.data[:kept]
            self.position -= kept
            self.start = None if self.start is None else 0
        piece = next(self._pieces, b"")
        self.data += piece
        return bool(piece)

    def next_byte(self) -> int | None:
        """Skip blanks and return the next byte, which stays; None at the end of the text."""
        while True:
            self.skip(_BLANK)
            if self.position < len(self.data):
                return self.data[self.position]
            if not self.extend():
                return None

    def byte(self) -> int | None:
        """Return the next byte, which stays; None at the end of the text."""
        while self.position >= len(self.data):
            if not self.extend():
                return None
        return self.data[self.position]

    def skip(self, pattern: "re.Pattern[bytes]") -> None:
        """Move behind all that the pattern matches, in this piece and those after it; it also matches nothing."""
        while True:
            match = pattern.match(self.data, self.position, self.position + _WINDOW_BYTES)
            end = self.position if match is None else match.end()
            moved, self.position = end > self.position, end
            if not moved and (end < len(self.data) or not self.extend()):
                return


def _is_null(text: _Text) -> bool:
    text.start = text.position
    text.skip(_SCALAR)
    value, text.start = bytes(text.data[text.start : text.position]), None
    if value == b"null" and text.next_byte() is None:
        return True
    raise InvalidArrayError("it does not begin as an array")


def _take_value(text: _Text) -> bytes | None:
    match = _CONTAINER.match(text.data, text.position, text.position + _WINDOW_BYTES)
    if match is not None and len(match[0]) <= MAX_ELEMENT_BYTES:
        text.position = match.end()
        return match[0]
    text.start, text.is_too_long = text.position, False
    _skip_value(text)
    if text.is_too_long or text.start is None or text.position - text.start > MAX_ELEMENT_BYTES:
        text.start = None
        return None
    value, text.start = bytes(text.data[text.start : text.position]), None
    return value


def _skip_value(text: _Text) -> None:
    first = text.byte()
    if first == _QUOTE:
        text.position += 1
        _skip_string(text)
    elif first in _OPENING:
        _skip_container(text)
    else:
        if first is None or first in b",]}":
            raise InvalidArrayError("an element is missing")
        text.skip(_SCALAR)


def _skip_container(text: _Text) -> None:
    depth = 0
    while True:
        # Up to the next bracket, or the start of a string that is longer than the window or ends after it.
        match = _UP_TO_BRACKET.match(text.data, text.position, text.position + _WINDOW_BYTES)
        text.position = text.position if match is None else match.end()
        byte = text.byte()
        if byte is None:
            raise InvalidArrayError("an element is truncated")
        if byte == _QUOTE:
            text.position += 1
            _skip_string(text)
        elif byte in _OPENING:
            depth += 1
            text.position += 1
        elif byte in _CLOSING:
            depth -= 1
            text.position += 1
            if not depth:
                return


def _skip_string(text: _Text) -> None:
    """Move behind the closing quotation mark of a string, from a position within it."""
    while True:
        match = _UP_TO_QUOTE.match(text.data, text.position, text.position + _WINDOW_BYTES)
        text.position = text.position if match is None else match.end()
        byte = text.byte()
        if byte is None:
            raise InvalidArrayError("a string is truncated")
        if byte == _QUOTE:
            text.position += 1
            return
        if byte == _BACKSLASH:
            # An escape sequence across the end of the window.
            text.position += 1
            if text.byte() is None:
                raise InvalidArrayError("a string is truncated")
            text.position += 1
