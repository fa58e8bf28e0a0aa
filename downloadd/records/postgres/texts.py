"""Escaping of text that PostgreSQL does not store: NUL, and lone surrogates, which stand for bytes that are not UTF-8.

Each such character is stored as U+0010 (data link escape) and a character of a private plane, which no search asks for.

Pure: no I/O and no clock.
"""

import re
from typing import Final

_ESCAPE: Final = "\x10"
_PRIVATE_PLANE: Final = 0xF0000
_UNSTORABLE: Final = re.compile("[\x00\x10\ud800-\udfff]")
_ESCAPED: Final = re.compile(_ESCAPE + "([\U000f0000-\U000fffff])")


def escape(text: str) -> str:
    """Return the text as it is stored."""
    if _UNSTORABLE.search(text) is None:
        return text
    return _UNSTORABLE.sub(lambda match: _ESCAPE + chr(_PRIVATE_PLANE + ord(match[0])), text)


def unescape(stored: str) -> str:
    """Return the text that `escape` made `stored` of."""
    if _ESCAPE not in stored:
        return stored
    return _ESCAPED.sub(lambda match: chr(ord(match[1]) - _PRIVATE_PLANE), stored)


def encode_text(text: str) -> bytes:
    """Return the bytes of an escaped text, as the server takes them."""
    return escape(text).encode()


def decode_text(stored: bytes) -> str:
    """Return the text of bytes of the server."""
    return unescape(bytes(stored).decode())
