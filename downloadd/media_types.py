"""Media types: the type that a request expects of a file, and web pages in place of files.

Pure: no I/O and no clock.
"""

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

from downloadd.errors import InvalidParameterError

HTML_TYPES: Final = frozenset({"text/html", "application/xhtml+xml"})
"""Media types of web pages."""

ANY_FILE: Final = "file"
"""Expected type that every type but that of a web page matches."""

MAX_MEDIA_TYPE_CHARACTERS: Final = 255
"""Characters of the longest expected type: twice the 127 of RFC 6838, section 4.2, and the slash."""

# A name of RFC 6838, section 4.2; a range is that of RFC 9110, section 12.5.1, without parameters.
_NAME: Final = r"[A-Za-z0-9!#$&^_.+-]+"
_MEDIA_RANGE: Final = re.compile(rf"(?:\*/\*|{_NAME}/\*|{_NAME}/{_NAME})")

_UNSPECIFIC: Final = frozenset(
    {
        "",
        "application/octet-stream",
        "binary/octet-stream",
        "application/octetstream",
        "application/binary",
        "application/download",
        "application/x-download",
        "application/force-download",
        "application/x-force-download",
        "application/unknown",
        "unknown/unknown",
    }
)
"""Types with which origins send files of all types."""

_SAME_TYPE: Final[Mapping[str, str]] = MappingProxyType(
    {
        "application/zip-compressed": "application/zip",
        "application/rar-compressed": "application/vnd.rar",
        "application/rar": "application/vnd.rar",
        "application/debian-package": "application/vnd.debian.binary-package",
        "application/iso9660-image": "application/vnd.efi.iso",
        "audio/mp3": "audio/mpeg",
        "audio/m4a": "audio/mp4",
        "image/jpg": "image/jpeg",
        "image/pjpeg": "image/jpeg",
        "image/ms-bmp": "image/bmp",
        "text/xml": "application/xml",
    }
)
"""Other names of types, without the prefix `x-`."""

_ARCHIVES: Final = "zip rar 7z tar gz tgz bz2 tbz2 xz txz zst tzst lz lz4 lzma br z cab jar war cpio arj lzh"
_IMAGES: Final = "png jpg jpeg gif bmp webp avif heic heif jxl tif tiff ico svg psd raw cr2 nef dng"
_VIDEO: Final = "mp4 m4v mkv webm avi mov wmv flv mpg mpeg ts m2ts 3gp ogv"
_AUDIO: Final = "mp3 m4a aac flac ogg oga opus wav wma aiff mid midi"
_DOCUMENTS: Final = "pdf epub mobi azw3 djvu ps doc docx docm xls xlsx xlsm ppt pptx pps ppsx odt ods odp rtf"
_PACKAGES: Final = "deb rpm apk ipa msi msix exe dmg pkg appimage flatpak snap crx xpi whl gem nupkg"
_DISK_IMAGES: Final = "iso img vhd vhdx vmdk vdi ova ovf qcow2 wim bin"

_EXTENSIONS: Final = frozenset(
    f"{_ARCHIVES} {_IMAGES} {_VIDEO} {_AUDIO} {_DOCUMENTS} {_PACKAGES} {_DISK_IMAGES}".split()
)
"""Extensions of files that are never web pages."""


def parse_media_type(content_type: str | None) -> str:
    """Return the type and subtype in lower case; "" if there is none, or if it is not printable ASCII."""
    text = (content_type or "").partition(";")[0].strip().lower()
    return text if text.isascii() and text.isprintable() else ""


def parse_expected_type(text: str) -> str:
    """Parse the type that a user expects: a media type, a range such as `image/*`, or `file`.

    Return it in lower case, without parameters.

    Raises:
        InvalidParameterError: it is none of them.
    """
    expected = parse_media_type(text)
    if expected == ANY_FILE or (len(expected) <= MAX_MEDIA_TYPE_CHARACTERS and _MEDIA_RANGE.fullmatch(expected)):
        return expected
    raise InvalidParameterError(
        "type", "write a media type such as application/zip, a range such as image/*, or file for all but web pages"
    )


def matches_type(received: str, expected: str) -> bool:
    """Return True unless the received media type shows that the content is not of the expected type.

    No type, and one that origins send for any file, show nothing. Different names of one type are equal.

    Args:
        received: as `parse_media_type` returns it.
        expected: as `parse_expected_type` returns it.
    """
    if expected == ANY_FILE:
        return received not in HTML_TYPES
    if received in _UNSPECIFIC or expected == "*/*":
        return True
    wanted, found = _normalize(expected), _normalize(received)
    return found.startswith(wanted.removesuffix("*")) if wanted.endswith("/*") else found == wanted


def is_stated_type(received: str, wanted: str) -> bool:
    """Return True if the received media type says that the content is of the wanted type.

    Unlike for `matches_type`, a type that origins send for any file says nothing but its own name.
    """
    if received in _UNSPECIFIC:
        return received != "" and received == wanted
    return matches_type(received, wanted)


def is_unspecific(received: str) -> bool:
    """Return True for no type, and for those with which origins send files of all types."""
    return received in _UNSPECIFIC


def describe_type(received: str) -> str:
    """Return a received media type as a noun for a message."""
    return f"a web page ({received})" if received in HTML_TYPES else received or "content without a type"


def describe_expected(expected: str) -> str:
    """Return an expected type as a noun for a message."""
    return "a file" if expected == ANY_FILE else expected


def page_warning(names: Iterable[str], content_type: str | None) -> str | None:
    """Return a warning if the content is a web page, though one of these names says another kind of file.

    Return None otherwise.
    """
    received = parse_media_type(content_type)
    if received not in HTML_TYPES:
        return None
    extensions = (name.rpartition(".")[2].lower() for name in names if "." in name)
    extension = next((each for each in extensions if each in _EXTENSIONS), None)
    if extension is None:
        return None
    return f"the origin sent a web page ({received}) in place of a .{extension} file; it may be a login or error page"


def _normalize(media_type: str) -> str:
    """Return one name for all names of a type; RFC 6648 deprecates the prefix `x-`."""
    kind, _, subtype = media_type.partition("/")
    plain = f"{kind}/{subtype.removeprefix('x-')}"
    return _SAME_TYPE.get(plain, plain)
