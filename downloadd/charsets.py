"""Decoding of octets in a charset that a label declares.

Pure: no I/O and no clock. All functions take linear time.
"""

import re
from collections.abc import Mapping
from encodings.aliases import aliases
from types import MappingProxyType
from typing import Final

MAX_LABEL_CHARACTERS: Final = 40
"""Characters of the longest label of a charset that is looked up; the longest registered ones have fewer."""

_SEPARATORS: Final = re.compile(r"[^a-z0-9]+")

_NOT_ALIASED: Final = ("cp720", "cp737", "cp856", "cp874", "koi8_t", "koi8_u", "utf_8_sig")
"""Charsets that Python knows under their own name only."""

_NOT_CHARSETS: Final = frozenset({"mbcs", "rot_13", "utf_7"})
"""Codecs that no browser reads: one depends on the machine, one is not a charset, one can hide any text in ASCII."""

# The Encoding Standard, section 4.2: what is labelled with the old name is, in practice, its extension.
_EXTENSIONS: Final = {
    "ascii": "cp1252",
    "latin_1": "cp1252",
    "iso8859_1": "cp1252",
    "iso8859_9": "cp1254",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "shift_jis": "cp932",
    "euc_kr": "cp949",
    "tis_620": "cp874",
    "iso8859_11": "cp874",
}


def _squash(label: str) -> str:
    """Return a label without case and separators: `UTF-8`, `utf8` and `utf_8` are one label."""
    return _SEPARATORS.sub("", label.lower())


def _known_codecs() -> Mapping[str, str]:
    """Return the codecs of all charsets that Python knows, by label.

    A table, because the look-up of Python imports modules and keeps each unknown label in memory.
    """
    codecs = {_squash(label): codec for label, codec in aliases.items()}
    codecs |= {_squash(codec): codec for codec in (*aliases.values(), *_NOT_ALIASED)}
    codecs |= {f"iso8859{part}": f"iso8859_{part}" for part in (*range(1, 12), *range(13, 17))}
    return MappingProxyType(
        {
            label: _EXTENSIONS.get(codec, codec)
            for label, codec in codecs.items()
            # The names of codecs that are not text encodings (base64, hex, zlib) end like this.
            if not codec.endswith("_codec") and codec not in _NOT_CHARSETS
        }
    )


_CODECS: Final = _known_codecs()


def find_codec(label: str) -> str | None:
    """Return the name of Python's codec for the charset with this label, in any spelling; None if it is unknown."""
    return _CODECS.get(_squash(label)) if len(label) <= MAX_LABEL_CHARACTERS else None


def decode_labelled(octets: bytes, label: str) -> str | None:
    """Decode octets in the charset with this label; return None if it is unknown, or if they are not text in it.

    Old charsets are read as their extensions (ISO-8859-1 as Windows-1252, GB2312 as GB18030), as browsers do. The
    result can be encoded as UTF-8.
    """
    codec = find_codec(label)
    if codec is None:
        return None
    text = decode_strictly(octets, codec)
    if text is None and codec in {"cp1252", "cp1254"}:
        # Octets that these do not define are control characters in ISO-8859.
        text = octets.decode("latin-1")
    return text


def decode_strictly(octets: bytes, codec: str) -> str | None:
    """Decode octets with a codec of Python; return None if they are not text in it that can be encoded as UTF-8."""
    try:
        text = octets.decode(codec)
        text.encode()
    except (UnicodeError, LookupError):
        return None
    return text
