"""The media type with which a file is sent to browsers, and if they may show it.

Files come from untrusted servers. A browser shows only types that run no scripts and load nothing; it saves all others.

Pure: no I/O and no clock.
"""

import mimetypes
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final
from urllib.parse import quote

import msgspec

from downloadd.media_types import is_unspecific, parse_media_type

OPAQUE_TYPE: Final = "application/octet-stream"
"""Type of files that browsers must not interpret."""

_PLAIN_TEXT: Final = "text/plain; charset=utf-8"

_ACTIVE_EXTENSIONS: Final = frozenset(
    {
        *("htm", "html", "xhtml", "xht", "shtml", "mht", "mhtml", "hta", "htc"),
        *("svg", "svgz", "xml", "xsl", "xslt", "pdf", "swf", "js", "mjs", "wasm"),
    }
)
"""Extensions of active content, whatever type its origin gave it."""

_MEDIA: Final = (
    *("image/png", "image/jpeg", "image/gif", "image/webp", "image/avif", "image/bmp", "image/x-icon"),
    *("audio/mpeg", "audio/mp4", "audio/ogg", "audio/wav", "audio/flac", "audio/webm", "audio/aac"),
    *("video/mp4", "video/webm", "video/ogg", "video/quicktime", "video/x-matroska"),
)
_TEXT: Final = (
    *("text/plain", "text/csv", "text/markdown", "text/x-log", "text/x-python", "text/x-sh", "text/x-diff"),
    *("text/yaml", "application/json", "application/x-ndjson", "application/toml", "application/yaml"),
    "application/x-sh",
)
_SHOWN_TYPES: Final[Mapping[str, str]] = MappingProxyType(
    dict(zip(_MEDIA, _MEDIA, strict=True))
    | dict.fromkeys(_TEXT, _PLAIN_TEXT)
    | {
        "image/jpg": "image/jpeg",
        "image/vnd.microsoft.icon": "image/x-icon",
        "audio/mp3": "audio/mpeg",
        "audio/x-wav": "audio/wav",
        "audio/x-flac": "audio/flac",
        "audio/x-m4a": "audio/mp4",
    }
)
"""Types that browsers may show, and the one with which they are sent. All text is sent as plain text."""


class ShownType(msgspec.Struct, frozen=True, kw_only=True):
    """Media type of a file, and if browsers may show it."""

    media_type: str
    is_inline: bool

    def disposition(self, filename: str) -> str:
        """Return the value of `Content-Disposition` (RFC 6266) for a file of this name."""
        kind = "inline" if self.is_inline else "attachment"
        return f"{kind}; filename*=UTF-8''{quote(filename.encode(), safe='!#$&+^`|~')}"


def choose_type(filename: str, content_type: str | None, *, as_attachment: bool = False) -> ShownType:
    """Return how a file is sent: shown if its type is passive, else saved.

    Args:
        filename: its name, which decides if its origin gave no specific type.
        content_type: the type of the origin.
        as_attachment: save it in any case.
    """
    extension = filename.rpartition(".")[2].lower()
    media_type = parse_media_type(content_type)
    if is_unspecific(media_type):
        media_type = mimetypes.guess_type(filename, strict=False)[0] or ""
    shown = None if extension in _ACTIVE_EXTENSIONS else _SHOWN_TYPES.get(media_type)
    return ShownType(media_type=shown or OPAQUE_TYPE, is_inline=shown is not None and not as_attachment)
