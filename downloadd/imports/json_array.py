"""Elements of a JSON array one by one, so that a small file cannot become millions of objects in memory.

Only the end of each element is found here; a JSON parser decodes it. Pure: no I/O and no clock.
"""

import re
from collections.abc import Iterator
from typing import Final

MAX_ELEMENT_BYTES: Final = 2 << 20
"""Bytes of an element; an escaped message of Slack with its attachments is below half a MiB."""
MAX_ELEMENTS: Final = 1_000_000
"""Elements of an array."""

# A search blocks all threads of the interpreter while it runs, so that each is limited to a window of this size.
_WINDOW_BYTES: Final = 256 * 1024
_UP_TO_BRACKET: Final = re.compile(rb'[^"\[\]{}]*+(?:"[^"\\]*+(?:\\.[^"\\]*+)*+"[^"\[\]{}]*+)*+', re.DOTALL)
_UP_TO_QUOTE: Final = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+)*+', re.DOTALL)
_SCALAR: Final = re.compile(rb'[^\s,"\[\]{}]*+')
_BLANK: Final = re.compile(rb"[ \t\r\n]*+")
_OPENING: Final = frozenset(b"[{")
_CLOSING: Final = frozenset(b"]}")
_QUOTE, _BACKSLASH = b'"\\'


class InvalidArrayError(ValueError):
    """Data that is not an array, is truncated, or has too many elements."""


def read_elements(data: bytes) -> Iterator[bytes | None]:
    """Yield the JSON of each element; None for one that is longer than `MAX_ELEMENT_BYTES`.

    Raises:
        InvalidArrayError: after the elements before the error.
    """
    position = _skip(_BLANK, data, 0)
    if data[position : position + 1] != b"[":
        raise InvalidArrayError("it does not begin as an array")
    position = _skip(_BLANK, data, position + 1)
    count = 0
    mark = b"," if data[position : position + 1] != b"]" else b"]"
    while mark == b",":
        end = _find_value_end(data, position)
        count += 1
        if count > MAX_ELEMENTS:
            raise InvalidArrayError(f"it has more than {MAX_ELEMENTS} elements")
        yield data[position:end] if end - position <= MAX_ELEMENT_BYTES else None
        position = _skip(_BLANK, data, end)
        mark = data[position : position + 1]
        if mark == b",":
            position = _skip(_BLANK, data, position + 1)
    if mark != b"]" or _skip(_BLANK, data, position + 1) < len(data):
        raise InvalidArrayError("it does not end as an array")


def _find_value_end(data: bytes, start: int) -> int:
    first = data[start] if start < len(data) else 0
    if first == _QUOTE:
        return _find_string_end(data, start + 1)
    if first not in _OPENING:
        end = _skip(_SCALAR, data, start)
        if end == start:
            raise InvalidArrayError("an element is missing")
        return end
    # The parser checks that the brackets match.
    depth, position = 0, start
    while position < len(data):
        position = _match_end(_UP_TO_BRACKET, data, position)
        byte = data[position] if position < len(data) else 0
        if byte == _QUOTE:
            # The string is longer than the window, or ends after it.
            position = _find_string_end(data, position + 1)
        elif byte in _OPENING:
            depth += 1
            position += 1
        elif byte in _CLOSING:
            depth -= 1
            position += 1
            if not depth:
                return position
    raise InvalidArrayError("an element is truncated")


def _find_string_end(data: bytes, position: int) -> int:
    while position < len(data):
        position = _match_end(_UP_TO_QUOTE, data, position)
        byte = data[position] if position < len(data) else 0
        if byte == _QUOTE:
            return position + 1
        if byte == _BACKSLASH:
            # An escape sequence across the end of the window.
            position += 2
    raise InvalidArrayError("a string is truncated")


def _skip(pattern: "re.Pattern[bytes]", data: bytes, position: int) -> int:
    while (end := _match_end(pattern, data, position)) > position:
        position = end
    return position


def _match_end(pattern: "re.Pattern[bytes]", data: bytes, position: int) -> int:
    """Return the end of the match from `position` on, within the window; each pattern also matches nothing."""
    match = pattern.match(data, position, position + _WINDOW_BYTES)
    return position if match is None else match.end()
