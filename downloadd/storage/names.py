"""Names that can be used below the storage root.

A name that a user requests is used unchanged or refused. A name that an origin sends is made safe and never refused.
The types `SafeDirectory`, `SafeName` and `PartName` are made here only. All lengths are bytes of UTF-8. Pure: no I/O
and no clock.
"""

import re
import unicodedata
from functools import lru_cache
from typing import Final, NewType

from downloadd.errors import InvalidPathError
from downloadd.name_collision import collision_key, is_ignorable

SafeDirectory = NewType("SafeDirectory", str)
"""Directory below the root: segments joined by `/`, "" for the root itself."""

SafeName = NewType("SafeName", str)
"""One segment that can be a final name in any directory."""

PartName = NewType("PartName", str)
"""Name of a part file: `.<final name>.<download id>.<epoch>.part`, or `…<epoch>-<restart>.part`."""

ROOT_DIRECTORY: Final = SafeDirectory("")
"""The storage root itself."""

ROOT_MARKER_NAME: Final = ".downloadd-root"
"""Name of the file in the storage root that tells this root from others."""

RESERVED_DIRECTORY_NAME: Final = ".downloadd"
"""Name of the directory in the storage root for files of the daemon, such as uploads of several nodes."""

_API_SEGMENT: Final = "api"
"""First segment of the paths of the API."""

MAX_NAME_BYTES: Final = 255
"""Bytes in a name: NAME_MAX of the common file systems."""

MIN_NAME_BYTES: Final = 67
"""Bytes in the longest name of a part file whose final name has one character; less is not supported."""

MAX_DIRECTORY_BYTES: Final = 3072
"""Bytes in a directory; leaves 1,024 of the 4,096 bytes of PATH_MAX for the root and the file name."""

MAX_EXTENSION_BYTES: Final = 32
"""Bytes in an extension, its dot included; a longer one is truncated like the rest of the name."""

FALLBACK_NAME: Final = SafeName("download")
"""Final name of a download for which neither the origin nor the URL has a usable name."""

_PART_NAME: Final = re.compile(
    r"\.[^/\0\ud800-\udfff]+"
    r"\.(?P<id>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})"
    r"\.(?P<epoch>0|[1-9][0-9]{0,18})(?:-[1-9][0-9]{0,5})?"
    r"\.part"
)

_URL: Final = re.compile(r"\s*[A-Za-z][A-Za-z0-9+.-]+:[/\\]")

# Controls, invisible formatting (bidi overrides and isolates, zero-width characters, byte order marks), line and
# paragraph separators, and lone surrogates, which have no UTF-8.
_INVISIBLE: Final = frozenset({"Cc", "Cf", "Zl", "Zp", "Cs"})

_NONCHARACTER_BITS: Final = 0xFFFE
"""Low bits of the two noncharacters at the end of each plane (the Unicode Standard, section 23.7)."""

_BLANKS: Final = " \u2800"

_RESERVED_CHARACTERS: Final = str.maketrans(dict.fromkeys('<>:"|?*', "_"))

_RESERVED_DEVICES: Final = frozenset(
    {"CON", "PRN", "AUX", "NUL", "CLOCK$", "CONIN$", "CONOUT$"}
    | {f"{port}{digit}" for port in ("COM", "LPT") for digit in "0123456789¹²³"}
)

# Most names: safe without a change, except for device names.
_ALREADY_SAFE: Final = re.compile(r"[A-Za-z0-9_-]{1,180}(?:\.[A-Za-z0-9_-]{1,16}){0,4}")

_COMPRESSION_EXTENSIONS: Final = frozenset({".gz", ".bz2", ".xz", ".zst", ".lz", ".lz4", ".lzma", ".br", ".z"})
_INNER_EXTENSION: Final = re.compile(r"\.(?=[0-9]*[a-z])[0-9a-z]{1,5}", re.IGNORECASE)
_EXTENSION: Final = re.compile(r"\.(?=[0-9]*[a-z])[0-9a-z]{1,10}", re.IGNORECASE)

_SCRIPT: Final = re.compile(r"\.(?:php[0-9]?|aspx?|ashx|jspx?|cgi|pl|cfm|do|action|dll)\Z", re.IGNORECASE)
"""Extension of a program that sends files, not of the file that it sends."""


@lru_cache(maxsize=1024)
def parse_directory(text: str) -> SafeDirectory:
    """Parse a directory that a user requests; leading, trailing and repeated slashes are ignored.

    Raises:
        InvalidPathError: a segment is `.` or `..`, contains a control character or backslash, cannot be encoded as
            UTF-8, is longer than 255 bytes or has the form of a part file name; or the first segment is `api` or
            `.downloadd`; or the directory is longer than 3,072 bytes; or the text is a URL.
    """
    if _URL.match(text.lstrip("/")):
        # A URL may contain secrets: the error does not repeat it.
        raise InvalidPathError("the directory is a URL; send the URL to download in its own parameter")
    segments = [segment for segment in text.split("/") if segment]
    for segment in segments:
        if problem := _name_problem(segment):
            raise InvalidPathError(f"the directory segment {_quote(segment)} {problem}")
    if segments and segments[0] == _API_SEGMENT:
        raise InvalidPathError("a directory cannot begin with api: that path is reserved for the API")
    if segments and segments[0].lower() == RESERVED_DIRECTORY_NAME:
        raise InvalidPathError(f"a directory cannot begin with {segments[0]}: that path is reserved for the daemon")
    directory = "/".join(segments)
    if len(directory.encode()) > MAX_DIRECTORY_BYTES:
        raise InvalidPathError(f"the directory is longer than {MAX_DIRECTORY_BYTES} bytes")
    return SafeDirectory(directory)


def relative_to_root(path: str, root: str) -> str | None:
    """Return the part of an absolute path that is below `root`, unchecked; None if it is elsewhere."""
    segments = [segment for segment in path.split("/") if segment]
    above = [segment for segment in root.split("/") if segment]
    if not path.startswith("/") or segments[: len(above)] != above:
        return None
    return "/".join(segments[len(above) :])


def parse_filename(text: str) -> SafeName:
    """Parse a file name that a user requests; it is not changed.

    Raises:
        InvalidPathError: it is empty, `.` or `..`, contains a slash, backslash or control character, cannot be encoded
            as UTF-8, is longer than 255 bytes, has the form of a part file name, is that of the mark of the root, or
            is a URL.
    """
    if _URL.match(text):
        raise InvalidPathError("the filename is a URL; send the URL to download in its own parameter")
    if problem := _name_problem(text):
        raise InvalidPathError(f"the filename {_quote(text)} {problem}")
    return SafeName(text)


def sanitize_name(text: str) -> SafeName:
    """Return a name of foreign origin (a field, a percent-decoded URL segment), made safe for every operating system.

    Only the text after the last slash or backslash is used. Invisible characters are removed, characters reserved by
    Windows become `_`, its device names get a leading `_`, and dots and blanks at both ends are removed (Windows drops
    trailing dots; a leading dot hides a file). The rest is normalized to NFC and truncated to 255 bytes, without its
    extension. Return `download` when nothing remains.
    """
    return SafeName(_sanitize(text) or FALLBACK_NAME)


def sanitize_directory(text: str) -> SafeDirectory:
    """Return a refused directory in a form that a receiver can build a path from without leaving the root.

    Segments are sanitized like names; those of which nothing remains are left out. A directory that `parse_directory`
    accepts is not changed.
    """
    try:
        return parse_directory(text)
    except InvalidPathError:
        names = (_sanitize(segment) for segment in re.split(r"[/\\]", text))
        return SafeDirectory(_truncate("/".join(name for name in names if name), MAX_DIRECTORY_BYTES).rstrip("/. "))


def avoid_reserved(directory: str) -> str:
    """Return a directory, with a leading `_` if a name of foreign origin, such as that of a host, makes it reserved."""
    return f"_{directory}" if directory.partition("/")[0] == _API_SEGMENT else directory


def remove_invisible(text: str) -> str:
    """Return the text without control, format, separator, surrogate and noncharacter code points."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        character
        for character in text
        if unicodedata.category(character) not in _INVISIBLE and ord(character) & 0xFFFE != _NONCHARACTER_BITS
    )


def suggest_name(
    requested: str | None,
    disposition: str | None,
    last_segment: str,
    first_segment: str = "",
    *,
    max_bytes: int = MAX_NAME_BYTES,
) -> SafeName:
    """Return the preferred final name: the requested one, else the one of the origin, else the one of the URL.

    The name of the URL is that after redirects, unless it has no extension and the one before redirects has one:
    content networks redirect `/app.zip` to `/objects/6f1c`.

    Args:
        requested: the user's `filename`.
        disposition: the file name of Content-Disposition (RFC 6266, section 4.3), decoded.
        last_segment: the last path segment of the final URL, percent-decoded.
        first_segment: the last path segment of the URL before redirects, percent-decoded.
        max_bytes: bytes of the longest name that the disk takes; a name that was not requested is shortened to it.

    Raises:
        InvalidPathError: `parse_filename` refuses `requested`, or it is too long for the disk.
    """
    if requested is not None:
        return check_length_of_name(parse_filename(requested), max_bytes)
    last = _sanitize(last_segment)
    # Without redirects, they are the same.
    first = last if first_segment == last_segment else _sanitize(first_segment)
    is_first_better = not has_extension(last) and has_extension(first) and not _SCRIPT.search(first)
    name = _sanitize(disposition or "") or (first if is_first_better else last) or first or FALLBACK_NAME
    return shorten_name(SafeName(name), max_bytes)


def has_extension(name: str) -> bool:
    """Return True if a name ends with an extension, and not with a version such as `.2`."""
    return _EXTENSION.fullmatch(_split_last(name)[1]) is not None


def check_length_of_name(name: SafeName, max_bytes: int) -> SafeName:
    """Return a requested name if the disk takes it.

    Raises:
        InvalidPathError: it has more than `max_bytes` bytes.
    """
    size = len(name.encode())
    if size > max_bytes:
        raise InvalidPathError(
            f"the filename {_quote(name)} has {size} bytes, but the disk takes names of at most {max_bytes} bytes"
        )
    return name


def shorten_name(name: SafeName, max_bytes: int) -> SafeName:
    """Return a name with at most `max_bytes` bytes (at least `MIN_NAME_BYTES`): the extension and a shorter stem."""
    # What is left may be a device name, or invisible.
    return name if len(name.encode()) <= max_bytes else SafeName(_sanitize(_shorten(name, max_bytes)) or FALLBACK_NAME)


def format_part_name(
    filename: SafeName, download_id: str, epoch: int, restart: int = 0, *, max_bytes: int = MAX_NAME_BYTES
) -> PartName:
    """Return the name of a part file, of at most `max_bytes` bytes; a long final name is truncated in it.

    `restart` counts the part files of one epoch: a transfer that starts over writes a new one.

    Raises:
        InvalidPathError: `download_id` is not a UUID in lower case, so that `parse_part_name` could not read the name.
    """
    tail = f".{download_id}.{epoch}-{restart}.part" if restart else f".{download_id}.{epoch}.part"
    return check_part_name(f".{_truncate(filename, max_bytes - 1 - len(tail.encode()))}{tail}")


def check_part_name(text: str) -> PartName:
    """Return the text as the name of a part file.

    A record is trusted no more than a request: only files of this form are renamed or deleted as part files.

    Raises:
        InvalidPathError: it does not have the form of one.
    """
    if parse_part_name(text) is None:
        raise InvalidPathError(f"{text!r} is not the name of a part file")
    return PartName(text)


def part_epoch(name: PartName) -> int:
    """Return the epoch in the name of a part file."""
    parsed = parse_part_name(name)
    assert parsed is not None  # noqa: S101 - narrows the type; the type says so
    return parsed[1]


def part_owner(name: PartName) -> str:
    """Return the download id in the name of a part file."""
    parsed = parse_part_name(name)
    assert parsed is not None  # noqa: S101 - narrows the type; the type says so
    return parsed[0]


def parse_part_name(name: str) -> tuple[str, int] | None:
    """Return the download id and epoch in the name of a part file, or None for any other name."""
    match = _PART_NAME.fullmatch(name)
    return (match["id"], int(match["epoch"])) if match else None


def numbered_name(name: SafeName, n: int, *, max_bytes: int = MAX_NAME_BYTES) -> SafeName:
    """Return the `n`-th alternative name: `data (1).csv` for `data.csv`, `source (1).tar.gz` for `source.tar.gz`.

    Different numbers give different names of at most `max_bytes` bytes. `n` is at least 1.
    """
    stem, extension = split_extension(name)
    tail = f" ({n}){extension}"
    return SafeName(_truncate(stem, max_bytes - len(tail.encode())) + tail)


def split_extension(name: str) -> tuple[str, str]:
    """Split a name into stem and extension; the extension begins with its dot, or is empty.

    `.tar.gz` and its like (`.csv.xz`) are one extension. A dot at the start of a name does not begin an extension. An
    extension contains no blank and has at most 32 bytes.
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
    is_extension = (
        stem.strip(".")
        and rest
        and len(extension.encode()) <= MAX_EXTENSION_BYTES
        and not any(character.isspace() for character in rest)
    )
    return (stem, extension) if is_extension else (name, "")


def _name_problem(segment: str) -> str | None:
    """Return the reason why a segment cannot be a name, as the second half of a sentence, or None if it can."""
    if not segment:
        return "is empty"
    if segment in {".", ".."}:
        return "is not a name"
    if "/" in segment or "\\" in segment:
        return "contains a slash or backslash"
    plain = segment.isascii() and segment.isprintable()
    if not plain and any(unicodedata.category(character) == "Cc" for character in segment):
        return "contains a control character"
    try:
        size = len(segment.encode())
    except UnicodeEncodeError:
        return "is not valid Unicode"
    if size > MAX_NAME_BYTES:
        return f"is longer than {MAX_NAME_BYTES} bytes"
    # On a file system that folds names, this name may be that of a part file.
    folded = collision_key(segment)
    if parse_part_name(folded) is not None:
        return "is reserved for part files"
    if folded == ROOT_MARKER_NAME:
        return "is reserved for the mark of the storage root"
    return None


def _sanitize(text: str) -> str:
    if _ALREADY_SAFE.fullmatch(text) and text.partition(".")[0].upper() not in _RESERVED_DEVICES:
        return text
    last = re.split(r"[/\\]", remove_invisible(text))[-1].translate(_RESERVED_CHARACTERS)
    name = _trim(unicodedata.normalize("NFC", last))
    # Windows ignores an extension after a device name, and blanks before the extension.
    if name.partition(".")[0].rstrip().upper() in _RESERVED_DEVICES:
        name = f"_{name}"
    if all(is_ignorable(character) or character in _BLANKS for character in name):
        return ""
    return name if len(name.encode()) <= MAX_NAME_BYTES else _sanitize(_shorten(name, MAX_NAME_BYTES))


def _shorten(name: str, max_bytes: int) -> str:
    """Return the name in at most `max_bytes` bytes: the extension and a shorter stem."""
    stem, extension = split_extension(name)
    return _trim(_truncate(stem, max_bytes - len(extension.encode())) + extension)


def _trim(name: str) -> str:
    start, end = 0, len(name)
    while start < end and (name[start] == "." or name[start].isspace()):
        start += 1
    while start < end and (name[end - 1] == "." or name[end - 1].isspace()):
        end -= 1
    return name[start:end]


def _truncate(text: str, size: int) -> str:
    """Return the longest prefix of `text` that has at most `size` bytes and ends with a whole character."""
    return text.encode()[:size].decode(errors="ignore")


def _quote(text: str) -> str:
    """Return the text for an error message: short and printable."""
    return repr(text if len(text) <= 64 else f"{text[:63]}…")
