"""Metalink 4 (RFC 5854) and Metalink 3: files with their mirrors, sizes and hashes, as XML.

Version 3 (http://www.metalinker.org/Metalink_3.0_Spec.pdf) has another namespace, groups the elements of a file, and
writes a preference from 1 to 100, of which the highest is the best, in place of a priority.

Entities are refused: no Metalink needs them, and their expansion has no limit.
"""

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import BinaryIO, Final
from xml.parsers import expat

import msgspec

from downloadd.errors import InvalidParameterError
from downloadd.import_operation import FileLink, ImportErrorCode, ImportItem, SkippedEntry, SkipReason
from downloadd.imports.refusal import ImportRefusedError
from downloadd.imports.skipping import malformed, shorten
from downloadd.imports.url_list import derive_file_id
from downloadd.imports.url_selection import MAX_MIRRORS, UrlSelection
from downloadd.policy.url import MAX_URL_BYTES
from downloadd.verify import STRONGEST_FIRST, find_algorithm, format_checksum, parse_checksum

NAMESPACE: Final = "urn:ietf:params:xml:ns:metalink"
NAMESPACE_3: Final = "http://www.metalinker.org/"


class _Version(msgspec.Struct, frozen=True, kw_only=True):
    """Places of the elements, as paths from the root."""

    namespace: str
    file: tuple[str, ...]
    size: tuple[str, ...] = ("size",)
    hash: tuple[str, ...]
    url: tuple[str, ...]
    metaurl: tuple[str, ...] | None = None
    """URL of a file about the file, such as a torrent; version 3 has it among the URLs, with a type."""


_VERSION_4: Final = _Version(namespace=NAMESPACE, file=("file",), hash=("hash",), url=("url",), metaurl=("metaurl",))
_VERSION_3: Final = _Version(
    namespace=NAMESPACE_3,
    file=("files", "file"),
    hash=("verification", "hash"),
    url=("resources", "url"),
)
_VERSIONS: Final = {f"{version.namespace} metalink": version for version in (_VERSION_4, _VERSION_3)}

_DEFAULT_PRIORITY: Final = 999_999
"""Priority of a URL without one (RFC 5854, section 4.2.16.1)."""
_MAX_PREFERENCE: Final = 100
_MAX_DIGITS: Final = 19
_METADATA_TYPES: Final = frozenset({"bittorrent", "torrent", "magnet", "ed2k"})
"""Types of URLs of version 3 that are not of the file itself, whatever their scheme."""
_MAX_TEXT_CHARACTERS: Final = 2 * MAX_URL_BYTES
"""Characters of a text that are kept: more than a URL may have, so that a longer one is recognized."""
_CHUNK_BYTES: Final = 64 * 1024

_MAX_TAG_BYTES: Final = 256 * 1024
"""Bytes of a tag or a comment, which the parser buffers."""
_MAX_DEPTH: Final = 32
"""Levels of nested elements; the format needs five."""
_MAX_NAMES: Final = 5_000
"""Different names of elements, attributes and prefixes, all of which the parser keeps."""
_MAX_URLS: Final = 256
"""URLs of one file that are kept before they are reduced to those with the best priorities."""


def read_metalink(file: BinaryIO) -> Iterator[ImportItem]:
    """Yield the files of a Metalink; see `importers.Reader`."""
    handler = _MetalinkHandler()
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.StartElementHandler = handler.start
    parser.EndElementHandler = handler.end
    parser.CharacterDataHandler = handler.text
    parser.StartDoctypeDeclHandler = _reject_doctype
    parser.StartNamespaceDeclHandler = handler.prefix
    has_items = False
    parsed_bytes = 0
    try:
        while piece := file.read(_CHUNK_BYTES):
            parser.Parse(piece, False)
            parsed_bytes += len(piece)
            if parsed_bytes - parser.CurrentByteIndex > _MAX_TAG_BYTES:
                raise _too_large_error(f"a tag that is longer than {_MAX_TAG_BYTES >> 10} KiB")
            if len(parser.intern) > _MAX_NAMES:
                raise _too_large_error(f"more than {_MAX_NAMES} different tags")
            has_items = has_items or bool(handler.items)
            yield from handler.drain()
        parser.Parse(b"", True)
    except expat.ExpatError as error:
        reason = expat.ErrorString(error.code)
        raise ImportRefusedError(f"line {error.lineno} of the file is not XML: {reason}") from error
    except (ValueError, LookupError) as error:
        raise ImportRefusedError("the encoding of the file is unknown; save it as UTF-8") from error
    if not handler.is_metalink:
        raise ImportRefusedError("the file is XML, but not a Metalink of version 3 or 4 (RFC 5854)")
    has_items = has_items or bool(handler.items)
    yield from handler.drain()
    if not has_items:
        raise ImportRefusedError("the Metalink names no file")


class _MetalinkHandler:
    """Handler of the parser's events, which collects the elements of one file at a time."""

    def __init__(self) -> None:
        self.items: list[ImportItem] = []
        self._version: _Version | None = None
        self._path: list[str] = []
        self._text = ""
        self._attributes: dict[str, str] = {}
        self._number = 0
        self._name = ""
        self._size: int | None = None
        self._is_size_malformed = False
        self._checksums: dict[str, str] = {}
        self._malformed_hashes: dict[str, str] = {}
        self._has_hashes = False
        self._urls: list[tuple[int, str]] = []
        self._url_count = 0
        self._selection = UrlSelection()
        self._prefixes: set[str] = set()

    @property
    def is_metalink(self) -> bool:
        return self._version is not None

    def drain(self) -> list[ImportItem]:
        items, self.items = self.items, []
        return items

    def prefix(self, prefix: str | None, _name: str) -> None:
        self._prefixes.add(prefix or "")
        if len(self._prefixes) > _MAX_NAMES:
            raise _too_large_error(f"more than {_MAX_NAMES} different prefixes")

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        if len(self._path) >= _MAX_DEPTH:
            raise _too_large_error(f"more than {_MAX_DEPTH} levels of nested elements")
        self._path.append(tag)
        self._text, self._attributes = "", attributes
        if len(self._path) == 1:
            self._version = _VERSIONS.get(tag)
        elif self._is_at("file"):
            self._start_file(attributes.get("name", ""))

    def text(self, text: str) -> None:
        if len(self._text) < _MAX_TEXT_CHARACTERS:
            self._text += text

    def end(self, _tag: str) -> None:
        text = self._text.strip()
        if self._is_at("file"):
            self.items += self._finish_file()
        elif self._is_at("size"):
            self._size = _parse_number(text)
            self._is_size_malformed = self._size is None
        elif self._is_at("hash"):
            # Hashes of pieces have another path.
            self._add_hash(self._attributes.get("type", ""), text)
        elif self._is_at("url"):
            self._add_url(text)
        elif self._is_at("metaurl"):
            self._selection.accept(text, kind=self._attributes.get("mediatype") or "metaurl")
        self._path.pop()
        self._text = ""

    def _is_at(self, element: str) -> bool:
        """Return True at an element of a file, or, for "file", at the file itself."""
        version = self._version
        if version is None:
            return False
        inner: tuple[str, ...] | None = () if element == "file" else getattr(version, element)
        return inner is not None and self._path == [
            f"{version.namespace} {tag}" for tag in ("metalink", *version.file, *inner)
        ]

    def _priority(self) -> int:
        """Return the priority of a URL: the lowest is the best."""
        if self._version is _VERSION_3:
            preference = _parse_number(self._attributes.get("preference", ""))
            return _DEFAULT_PRIORITY if preference is None else _MAX_PREFERENCE - preference
        priority = _parse_number(self._attributes.get("priority", ""))
        return _DEFAULT_PRIORITY if priority is None else priority

    def _start_file(self, name: str) -> None:
        self._number += 1
        self._name, self._size, self._is_size_malformed = name, None, False
        self._checksums, self._malformed_hashes, self._has_hashes = {}, {}, False
        self._urls, self._url_count, self._selection = [], 0, UrlSelection()

    def _add_url(self, url: str) -> None:
        kind = self._attributes.get("type", "").lower()
        if not self._selection.accept(url, kind=kind if kind in _METADATA_TYPES else ""):
            return
        self._url_count += 1
        self._urls.append((self._priority(), url))
        if len(self._urls) > _MAX_URLS:
            self._urls = self._best_urls()

    def _add_hash(self, name: str, digest: str) -> None:
        self._has_hashes = True
        algorithm = find_algorithm(name)
        if algorithm is None:
            return
        try:
            self._checksums[algorithm] = parse_checksum(format_checksum(algorithm, digest))
        except InvalidParameterError as error:
            self._malformed_hashes[algorithm] = error.detail

    def _finish_file(self) -> Iterator[ImportItem]:
        if not self._name:
            number = f"file {self._number} of the Metalink"
            yield SkippedEntry(reason=SkipReason.INVALID_NAME, detail=f"{number} has no name")
            return
        path, shown = PurePosixPath(self._name), shorten(self._name)
        # RFC 5854, section 4.1.2.1: directories are allowed; ".." and absolute paths are not.
        if path.is_absolute() or ".." in path.parts or "\\" in self._name:
            yield SkippedEntry(
                reason=SkipReason.INVALID_NAME,
                detail=f"the name leads outside of the directory: {shown!r}",
                entry=shown,
            )
            return
        urls = [url for _, url in self._best_urls()]
        if not urls:
            problems = "; ".join(problem for _, problem in self._selection.problems())
            detail = f"{shown!r} has no URL that can be used{problems and f': {problems}'}"
            yield SkippedEntry(reason=SkipReason.NO_URL, detail=detail, entry=shown)
            return
        algorithm = next((name for name in STRONGEST_FIRST if name in self._checksums), None)
        if algorithm is None and self._malformed_hashes:
            # Its publisher meant it to be verified.
            detail = f"{shown!r} has no valid hash: {'; '.join(self._malformed_hashes.values())}"
            yield SkippedEntry(reason=SkipReason.INVALID_NAME, detail=detail, entry=shown)
            return
        yield from self._ignored_elements(shown)
        yield from self._ignored_hashes(shown, algorithm)
        yield FileLink(
            file_id=derive_file_id(f"{self._name} {urls[0]}"),
            url=urls[0],
            mirrors=tuple(urls[1:]),
            name=path.name,
            directory="" if str(path.parent) == "." else str(path.parent),
            size=self._size,
            checksum=None if algorithm is None else self._checksums[algorithm],
        )

    def _ignored_elements(self, shown: str) -> Iterator[SkippedEntry]:
        """Yield the reports of the size and the URLs without which the file is imported."""
        if self._is_size_malformed:
            yield malformed(self._name, f"{shown!r} has a size that is not a number of bytes; it is ignored")
        for reason, problem in self._selection.problems():
            yield SkippedEntry(reason=reason, detail=f"{shown!r}: {problem}; the others are used", entry=shown)
        if self._url_count > 1 + MAX_MIRRORS:
            yield SkippedEntry(
                reason=SkipReason.TOO_MANY_MIRRORS,
                detail=f"{shown!r}: of {self._url_count} URLs, the {1 + MAX_MIRRORS} with the best priorities are used",
                entry=shown,
            )

    def _ignored_hashes(self, shown: str, used: str | None) -> Iterator[SkippedEntry]:
        """Yield the reports of the hashes without which the file is imported; `used` is the algorithm of its own."""
        for problem in self._malformed_hashes.values():
            yield malformed(self._name, f"{shown!r} has a malformed hash, and {used} is used: {problem}")
        if self._has_hashes and used is None:
            yield SkippedEntry(
                reason=SkipReason.UNKNOWN_CHECKSUM,
                detail=f"{shown!r} has only hashes of unknown algorithms and is not verified",
                entry=shown,
            )

    def _best_urls(self) -> list[tuple[int, str]]:
        return sorted(self._urls, key=lambda one: one[0])[: 1 + MAX_MIRRORS]


def _parse_number(text: str) -> int | None:
    """Return a number; None if the text is not one, or has more digits than a size in bytes can have."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < _MAX_DIGITS else None


def _too_large_error(problem: str) -> ImportRefusedError:
    return ImportRefusedError(f"the file has {problem}; no Metalink does", ImportErrorCode.FILE_TOO_LARGE)


def _reject_doctype(*_: object) -> None:
    raise ImportRefusedError("the file has a document type declaration; a Metalink needs none")
