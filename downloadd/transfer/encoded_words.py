"""Encoded words (RFC 2047), which servers send in `filename` though RFC 6266 does not allow them there.

Pure: no I/O and no clock.
"""

import binascii
import re
from itertools import groupby
from typing import Final
from urllib.parse import unquote_to_bytes

import msgspec

from downloadd.charsets import decode_labelled

_START: Final = re.compile(r"=\?[^?\s]{1,80}\?[BbQq]\?")
_WORD: Final = re.compile(
    # RFC 2231, section 5, allows a language behind the charset. Servers put blanks into words in Q, and further text,
    # such as the extension, behind a word.
    r"=\?(?P<charset>[^?*\s=]{1,40})(?:\*[^?\s]{0,39})?\?(?P<encoding>[BbQq])\?(?P<text>[^?]*)\?=(?!\?|=(?!\?))"
)
_BASE64: Final = re.compile(r"[A-Za-z0-9+/]+={0,2}")
_INVALID_Q: Final = re.compile(r"=(?![0-9A-Fa-f]{2})")


def has_encoded_word(text: str) -> bool:
    """Return True if an encoded word begins in the text; it may be malformed."""
    return _START.search(text) is not None


def decode_encoded_words(text: str) -> str | None:
    """Return the text with its encoded words decoded; None if one is malformed, or has an unknown charset.

    The text has no lone surrogates. White space between two words is omitted (RFC 2047, section 6.2). Words of one
    charset are decoded together: some servers divide a character between two words.
    """
    pieces = _split(text)
    if pieces is None:
        return None
    decoded = []
    for charset, group in groupby(pieces, key=lambda piece: piece.charset):
        octets = b"".join(piece.octets for piece in group)
        part = decode_labelled(octets, charset)
        if part is None:
            return None
        decoded.append(part)
    return "".join(decoded)


class _Piece(msgspec.Struct, frozen=True):
    charset: str
    octets: bytes


def _split(text: str) -> list[_Piece] | None:
    pieces: list[_Piece] = []
    position = 0
    for match in _WORD.finditer(text):
        between = text[position : match.start()]
        octets = _decode_word(match["encoding"], match["text"])
        if octets is None or has_encoded_word(between):
            return None
        if between and not (pieces and between.isspace()):
            pieces.append(_Piece("utf-8", between.encode()))
        pieces.append(_Piece(match["charset"].lower(), octets))
        position = match.end()
    rest = text[position:]
    return None if has_encoded_word(rest) else [*pieces, _Piece("utf-8", rest.encode())]


def _decode_word(encoding: str, text: str) -> bytes | None:
    if not text.isascii():
        return None
    if encoding in "Bb":
        return binascii.a2b_base64(text + "=" * (-len(text) % 4)) if _is_base64(text) else None
    if _INVALID_Q.search(text):
        return None
    return unquote_to_bytes(text.replace("%", "=25").replace("_", " ").replace("=", "%"))


def _is_base64(text: str) -> bool:
    # One digit alone is less than an octet.
    return _BASE64.fullmatch(text) is not None and len(text.rstrip("=")) % 4 != 1
