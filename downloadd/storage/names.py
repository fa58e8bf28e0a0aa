"""Names that can be used below the root, and nothing else.

What a user asks for is taken as it is or refused; what a foreign server says is made safe and never refused. All
lengths are bytes of UTF-8. Pure: no I/O and no clock.
"""

import re
import unicodedata
from functools import lru_cache
from typing import Final, NewType

from downloadd.errors import InvalidPathError
from downloadd.name_collision import collision_key, is_ignorable

SafeDirectory = NewType("SafeDirectory", str)
"""A directory below the root: segments joined by `/`, "" for the root itself."""

SafeName = NewType("SafeName", str)
"""One segment that can be a final name in any directory."""

MAX_NAME_BYTES: Final = 255
"""NAME_MAX of the common file systems."""

MAX_DIRECTORY_BYTES: Final = 3072
"""Leaves 1,024 of the 4,096 bytes of PATH_MAX for the root and the file name."""

MAX_EXTENSION_BYTES: Final = 32
"""What is longer is no extension, and is cut like the rest of a name."""

FALLBACK_NAME: Final = SafeName("download")

_PART_NAME: Final = re.compile(
    r"\.[^/\0\ud800-\udfff]+"
    r"\.(?P<id>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})"
    r"\.(?P<epoch>0|[1-9][0-9]{0,18})"
    r"\.part"
)

_URL: Final = re.compile(r"\s*[A-Za-z][A-Za-z0-9+.-]+:[/\\]")

# Controls, invisible formatting (bidi overrides and isolates, zero-width characters, byte order marks), line and
# paragraph separators, and lone surrogates, which have no UTF-8.
_INVISIBLE: Final = frozenset({"Cc", "Cf", "Zl", "Zp", "Cs"})

_NONCHARACTER_BITS: Final = 0xFFFE
"""How the last two code points of every plane end, which are none (the Unicode Standard, section 23.7)."""

_BLANKS: Final = " \u2800"

_RESERVED_CHARACTERS: Final = str.maketrans(dict.fromkeys('<>:"|?*', "_"))

_RESERVED_DEVICES: Final = frozenset(
    {"CON", "PRN", "AUX", "NUL", "CLOCK$", "CONIN$", "CONOUT$"}
    | {f"{port}{digit}" for port in ("COM", "LPT") for digit in "0123456789¹²³"}
)

# What nearly every name looks like: safe as it stands, unless it is that of a device.
_ALREADY_SAFE: Final = re.compile(r"[A-Za-z0-9_-]{1,180}(?:\.[A-Za-z0-9_-]{1,16}){0,4}")

_COMPRESSION_EXTENSIONS: Final = frozenset({".gz", ".bz2", ".xz", ".zst", ".lz", ".lz4", ".lzma", ".br", ".z"})
_INNER_EXTENSION: Final = re.compile(r"\.(?=[0-9]*[a-z])[0-9a-z]{1,5}", re.IGNORECASE)


@lru_cache(maxsize=1024)
def parse_directory(text: str) -> SafeDirectory:
    """A directory as a user writes it; slashes at the ends and doubled ones are forgiven.

    Raises:
        InvalidPathError: a segment is `.` or `..`, holds a control character or backslash, has no UTF-8, is longer
            than 255 bytes or named like a part file; or the first one is `api`; or all are longer than 3,072 bytes; or
            the text is a URL.
    """
    if _URL.match(text.lstrip("/")):
        # A URL may hold secrets: no sentence repeats it.
        raise InvalidPathError("the directory is a URL; what is to be downloaded belongs elsewhere in the request")
    segments = [segment for segment in text.split("/") if segment]
    for segment in segments:
        if problem := _name_problem(segment):
            raise InvalidPathError(f"the directory segment {_quote(segment)} {problem}")
    if segments and segments[0] == "api":
        raise InvalidPathError("a directory cannot begin with api: that path belongs to the API itself")
    directory = "/".join(segments)
    if len(directory.encode()) > MAX_DIRECTORY_BYTES:
        raise InvalidPathError(f"the directory is longer than {MAX_DIRECTORY_BYTES} bytes")
    return SafeDirectory(directory)


def parse_filename(text: str) -> SafeName:
    """A file name that a user asks for, exactly as asked.

    Raises:
        InvalidPathError: it is empty, `.` or `..`, holds a slash, backslash or control character, has no UTF-8, is
            longer than 255 bytes or named like a part file.
    """
    if _URL.match(text):
        raise InvalidPathError("the filename is a URL; what is to be downloaded belongs elsewhere in the request")
    if problem := _name_problem(text):
        raise InvalidPathError(f"the filename {_quote(text)} {problem}")
    return SafeName(text)


def sanitize_name(text: str) -> SafeName:
    """A name that comes from elsewhere (a field, a URL segment, percent-decoded), made safe on every system.

    Only what follows the last slash or backslash counts. Invisible characters vanish, Windows' reserved characters
    become `_`, its device names get a `_` in front, dots and blanks at the ends go (trailing dots are lost on Windows,
    a leading one hides), the rest is NFC and at most 255 bytes, the extension kept. `download` when nothing is left.
    """
    return SafeName(_sanitize(text) or FALLBACK_NAME)


def sanitize_directory(text: str) -> SafeDirectory:
    """A directory that was refused, as it may be told to whoever builds a path of it: never out of the root.

    Segments are made safe as names are, and those left out that are none. What `parse_directory` takes stays.
    """
    try:
        return parse_directory(text)
    except InvalidPathError:
        names = (_sanitize(segment) for segment in re.split(r"[/\\]", text))
        return SafeDirectory(_truncate("/".join(name for name in names if name), MAX_DIRECTORY_BYTES).rstrip("/. "))


def remove_invisible(text: str) -> str:
    """The text without what is not seen: controls, bidi overrides, zero widths, halves of surrogate pairs."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        character
        for character in text
        if unicodedata.category(character) not in _INVISIBLE and ord(character) & 0xFFFE != _NONCHARACTER_BITS
    )


def suggest_name(requested: str | None, disposition: str | None, last_segment: str) -> SafeName:
    """The final name to try first: what the user wants, else what the origin says, else what the URL says.

    Args:
        requested: the user's `filename`, which `parse_filename` has accepted.
        disposition: the file name of Content-Disposition (RFC 6266, section 4.3), decoded.
        last_segment: the last path segment of the final URL, percent-decoded.

    Raises:
        InvalidPathError: `requested` is not what `parse_filename` accepts.
    """
    if requested is not None:
        return parse_filename(requested)
    return SafeName(_sanitize(disposition or "") or sanitize_name(last_segment))


def format_part_name(filename: str, download_id: str, epoch: int) -> str:
    """The name of a part file, `.<final name>.<download id>.<epoch>.part`; a long final name is cut to fit."""
    tail = f".{download_id}.{epoch}.part"
    return f".{_truncate(filename, MAX_NAME_BYTES - 1 - len(tail.encode()))}{tail}"


def parse_part_name(name: str) -> tuple[str, int] | None:
    """The download id and epoch in the name of a part file; None for any other name."""
    match = _PART_NAME.fullmatch(name)
    return (match["id"], int(match["epoch"])) if match else None


def numbered_name(name: SafeName, n: int) -> SafeName:
    """The `n`-th other name: `data.csv` gives `data (1).csv`, `source.tar.gz` gives `source (1).tar.gz`.

    Different numbers give different names, all of at most 255 bytes. `n` is at least 1.
    """
    stem, extension = split_extension(name)
    tail = f" ({n}){extension}"
    return SafeName(_truncate(stem, MAX_NAME_BYTES - len(tail.encode())) + tail)


def split_extension(name: str) -> tuple[str, str]:
    """Stem and extension; the extension begins with its dot, or is empty.

    `.tar.gz` and the like (`.csv.xz`) are one extension. A name that only begins with a dot has none, nor is one what
    holds a blank or is longer than 32 bytes.
    """
    stem, extension = _split_last(name)
    if extension.lower() in _COMPRESSION_EXTENSIONS:
        inner_stem, inner = _split_last(stem)
        if _INNER_EXTENSION.fullmatch(inner):
            return inner_stem, inner + extension
    return stem, extension


def _split_last(name: str) -> tuple[str, str]:
    stem, dot, rest = name.rpartition(".")
    extension = dot + rest
    sane = (
        stem.strip(".")
        and rest
        and len(extension.encode()) <= MAX_EXTENSION_BYTES
        and not any(character.isspace() for character in rest)
    )
    return (stem, extension) if sane else (name, "")


def _name_problem(segment: str) -> str | None:
    """Why a segment cannot be a name as it stands, for the second half of a sentence."""
    if not segment:
        return "is empty"
    if segment in {".", ".."}:
        return "is no name"
    if "/" in segment or "\\" in segment:
        return "holds a slash or backslash"
    plain = segment.isascii() and segment.isprintable()
    if not plain and any(unicodedata.category(character) == "Cc" for character in segment):
        return "holds a control character"
    try:
        size = len(segment.encode())
    except UnicodeEncodeError:
        return "is no valid Unicode"
    if size > MAX_NAME_BYTES:
        return f"is longer than {MAX_NAME_BYTES} bytes"
    # A forgiving file system takes them for ours, too.
    if parse_part_name(collision_key(segment)) is not None:
        return "is reserved: unfinished downloads are named like that"
    return None


def _sanitize(text: str) -> str:
    if _ALREADY_SAFE.fullmatch(text) and text.partition(".")[0].upper() not in _RESERVED_DEVICES:
        return text
    last = re.split(r"[/\\]", remove_invisible(text))[-1].translate(_RESERVED_CHARACTERS)
    name = _trim(unicodedata.normalize("NFC", last))
    # Windows finds the device behind any extension, and behind blanks before it.
    if name.partition(".")[0].rstrip().upper() in _RESERVED_DEVICES:
        name = f"_{name}"
    if all(is_ignorable(character) or character in _BLANKS for character in name):
        return ""
    stem, extension = split_extension(name)
    return _trim(_truncate(stem, MAX_NAME_BYTES - len(extension.encode())) + extension)


def _trim(name: str) -> str:
    start, end = 0, len(name)
    while start < end and (name[start] == "." or name[start].isspace()):
        start += 1
    while start < end and (name[end - 1] == "." or name[end - 1].isspace()):
        end -= 1
    return name[start:end]


def _truncate(text: str, size: int) -> str:
    """The longest beginning of `text` that has at most `size` bytes and ends with a whole character."""
    return text.encode()[:size].decode(errors="ignore")


def _quote(text: str) -> str:
    """For a sentence: short, and printable whatever it holds."""
    return repr(text if len(text) <= 64 else f"{text[:63]}…")
