"""The file name in a Content-Disposition (RFC 6266), also in the malformed ones that servers send.

All input is foreign. A value is taken as the client library returns it: octets decoded as UTF-8, those that are not
UTF-8 as lone surrogates (`surrogateescape`). All functions take linear time. Pure: no I/O and no clock.
"""

import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import unquote_to_bytes

import msgspec

from downloadd.charset_detection import decode_unlabelled
from downloadd.charsets import decode_labelled, find_codec
from downloadd.transfer.encoded_words import decode_encoded_words, has_encoded_word

_BLANKS: Final = " \t\r\n"
"""White space; line breaks are those of a field that was sent in several lines (RFC 9112, section 5.2)."""

_PARAMETER_END: Final = re.compile(r";|\Z")
_NAME_END: Final = re.compile(r"[=;]|\Z")
_NEXT_PARAMETER: Final = re.compile(r";[ \t\r\n]*[A-Za-z0-9*_-]+[ \t]*=")

_WINDOWS_PATH: Final = re.compile(r"(?:[A-Za-z]:\\|\\\\[^\\]+\\[^\\])")
"""Start of a path as Internet Explorer sends it: its backslashes escape nothing."""
# In Shift_JIS and GBK, the second octet of a character may be that of a backslash.
_QUOTED_PAIR: Final = re.compile(r"(?<![\udc81-\udcfe])\\(.)|\\([\"\\])", re.DOTALL)

_SECTION: Final = re.compile(r"filename\*(?P<number>0|[1-9][0-9]{0,3})(?P<extended>\*?)")
_NOT_LABEL: Final = re.compile(r"[^A-Za-z0-9_.:+-]")
_INVALID_PERCENT: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_ENCODED_OCTET: Final = re.compile(r"%(?:[89A-Fa-f][0-9A-Fa-f]|2[0-9A-Ca-cFf]|3[A-Fa-f]|40|5[B-Eb-e]|60|7[B-Db-d])")
"""Octet that an encoder must encode, in contrast to letters, digits, `-`, `.` and `_`."""


class _Parameters(msgspec.Struct):
    """The parameters of one field that hold a file name, as sent."""

    plain: list[str]
    extended: list[str]
    sections: dict[int, tuple[bool, str]]
    """By number: True if the section is percent-encoded, and its value (RFC 2231, section 3)."""


def parse_content_disposition(text: str | None) -> str | None:
    """Return the file name in a Content-Disposition of any type (RFC 6266), or None if there is none.

    In this order: `filename*` in any charset that Python knows (RFC 8187), also malformed if its meaning is plain;
    the sections `filename*0` and so on (RFC 2231, section 3); `filename`. The first of its kind that can be decoded is
    used. In `filename`, encoded words (RFC 2047) and a value that is percent-encoded UTF-8 are decoded; raw octets
    that are not UTF-8 are read in the most plausible charset.

    Forms that the grammar forbids are read as browsers do: no type, blanks in a token, a quoted `filename*`, a quote
    that is not closed or not escaped, a Windows path whose backslashes are not escaped.

    The name is not safe: it may contain slashes, dots and control characters. It can always be encoded as UTF-8.
    """
    found = _collect(text or "")
    name = _first_decoded(found)
    return None if name is None else re.sub(r"[\t\r\n]", " ", name)


def _first_decoded(found: _Parameters) -> str | None:
    # Well-formed values first: `False` sorts before `True`.
    for value in sorted(found.extended, key=lambda value: _split_extended(value)[0] is None):
        charset, encoded = _split_extended(value)
        name = _decode_extended(encoded, charset)
        if name:
            return name
    name = _decode_sections(found.sections)
    if name:
        return name
    return next(filter(None, map(_decode_plain, found.plain)), None)


def _collect(text: str) -> _Parameters:
    found = _Parameters(plain=[], extended=[], sections={})
    has_repeated_section = False
    for name, value in _parameters(text):
        section = _SECTION.fullmatch(name)
        if name == "filename":
            found.plain.append(value)
        elif name == "filename*":
            found.extended.append(value)
        elif section is not None and not has_repeated_section:
            number = int(section["number"])
            # A second series may not continue the first one.
            has_repeated_section = number in found.sections
            found.sections.setdefault(number, (bool(section["extended"]), value))
    return found


# -- parameters --------------------------------------------------------------------------------------------------------


def _parameters(text: str) -> Iterator[tuple[str, str]]:
    """Yield the parameters in order, names in lower case, values unquoted; the disposition type has no `=`."""
    position = 0
    while position < len(text):
        position = _skip_blanks(text, position)
        if text.startswith('"', position):
            # A quoted string in place of a type or a name: text in it that looks like a parameter is ignored.
            _, position = _read_quoted(text, position + 1)
            position = _find(_PARAMETER_END, text, position) + 1
            continue
        end = _find(_NAME_END, text, position)
        name = text[position:end].strip(_BLANKS).lower()
        if not text.startswith("=", end):
            position = end + 1
            continue
        position = _skip_blanks(text, end + 1)
        if text.startswith('"', position):
            value, position = _read_quoted(text, position + 1)
            # Text between the closing quote and the next parameter is ignored.
            position = _find(_PARAMETER_END, text, position) + 1
        else:
            end = _find(_PARAMETER_END, text, position)
            value, position = text[position:end].strip(_BLANKS), end + 1
        yield name, value


def _find(pattern: re.Pattern[str], text: str, position: int) -> int:
    match = pattern.search(text, position)
    return len(text) if match is None else match.start()


def _skip_blanks(text: str, position: int) -> int:
    while position < len(text) and text[position] in _BLANKS:
        position += 1
    return position


def _read_quoted(text: str, begin: int) -> tuple[str, int]:
    """Return a quoted string, read from behind its opening quote, and the position behind the closing one."""
    end = _find_quote(text, begin)
    if end is None:
        # Not closed: the next parameter ends it.
        end = _find(_NEXT_PARAMETER, text, begin)
        return _unescape(text[begin:end]), end
    rest = text[end + 1 : _find(_PARAMETER_END, text, end)].rstrip(_BLANKS)
    if rest.endswith('"'):
        # The quotes before the last one of the parameter should have been escaped.
        end += len(rest)
    return _unescape(text[begin:end]), end + 1


def _find_quote(text: str, position: int) -> int | None:
    """Return the position of the next quote that is not escaped, or None if there is none."""
    while position < len(text) and text[position] != '"':
        position += 2 if text[position] == "\\" else 1
    return position if position < len(text) else None


def _unescape(text: str) -> str:
    if _WINDOWS_PATH.match(text):
        return text.replace('\\"', '"')
    return _QUOTED_PAIR.sub(lambda found: found[1] or found[2], text)


# -- values ------------------------------------------------------------------------------------------------------------


def _split_extended(value: str) -> tuple[str | None, str]:
    """Return the charset and the encoded text of an ext-value (RFC 8187, section 3.2).

    The charset is None if it is missing or unknown; then the quotes may be missing too.
    """
    charset, *rest = value.split("'", 2)
    is_known = find_codec(charset) is not None
    if len(rest) == 2 and (is_known or not _NOT_LABEL.search(charset)):
        encoded = rest[1]
    elif len(rest) == 1 and is_known:
        encoded = rest[0]
    else:
        encoded = value
    if len(encoded) > 1 and encoded[0] == encoded[-1] == '"':
        encoded = encoded[1:-1]
    return charset if is_known and len(rest) == 2 else None, encoded


def _decode_extended(encoded: str, charset: str | None) -> str | None:
    """Decode percent-encoded text; without a charset as UTF-8. Return None if it is malformed."""
    octets = _decode_percent(encoded)
    if octets is None:
        return None
    if not encoded.isascii():
        # Raw octets are not allowed. They have one meaning if they are UTF-8, and are said to be.
        return _decode_utf8(octets) if find_codec(charset or "utf-8") == "utf_8" else None
    return decode_labelled(octets, charset or "utf-8")


def _decode_sections(sections: dict[int, tuple[bool, str]]) -> str | None:
    """Return the value of the sections from 0 up to the first that is missing."""
    if 0 not in sections:
        return None
    charset: str | None = None
    octets = bytearray()
    for number in range(len(sections)):
        if number not in sections:
            break
        is_extended, value = sections[number]
        if number == 0 and is_extended:
            charset, value = _split_extended(value)
        piece = _decode_percent(value) if is_extended else _to_octets(value)
        if piece is None:
            return None
        octets += piece
    if sections[0][0]:
        return decode_labelled(bytes(octets), charset or "utf-8")
    return decode_unlabelled(bytes(octets))


def _decode_plain(value: str) -> str | None:
    """Decode the value of `filename`; return None if it has a malformed encoded word."""
    if has_encoded_word(value):
        return decode_encoded_words(decode_unlabelled(_to_octets(value)))
    if _ENCODED_OCTET.search(value) and value.isascii():
        octets = _decode_percent(value)
        decoded = None if octets is None else _decode_utf8(octets)
        if decoded is not None:
            return decoded
    return decode_unlabelled(_to_octets(value))


def _decode_percent(text: str) -> bytes | None:
    """Decode percent-encoding; return None if a percent sign is not followed by two hexadecimal digits."""
    return None if _INVALID_PERCENT.search(text) else unquote_to_bytes(_to_octets(text))


def _decode_utf8(octets: bytes) -> str | None:
    try:
        return octets.decode("utf-8")
    except UnicodeDecodeError:
        return None


def _to_octets(text: str) -> bytes:
    """Return the octets that the client library has decoded to this text."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        # No octets decode to such surrogates, so this text was not received from an origin.
        return text.encode("utf-8", "replace")
