"""Lists of URLs, one per line, as `wget -i` and `aria2c -i` read them.

Lines that begin with `#` are comments. As in aria2's input files, a line may contain several URLs of the same file,
separated by tabs. The indented lines below it are options; `list_options.py` has those that become parameters:
https://aria2.github.io/manual/en/html/aria2c.html#input-file and
https://www.gnu.org/software/wget/manual/html_node/Logging-and-Input-File-Options.html. An indented URL is a URL.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any, BinaryIO, Final

import msgspec

from downloadd.errors import InvalidParameterError
from downloadd.import_operation import FileLink, ImportErrorCode, ImportItem, SkippedEntry, SkipReason
from downloadd.imports.compressed_list import decompressed
from downloadd.imports.list_options import PARSERS, describe_unused, make_parameters
from downloadd.imports.refusal import ImportRefusedError
from downloadd.imports.text import MAX_LINE_CHARACTERS, read_lines
from downloadd.imports.url_selection import MAX_MIRRORS, UrlSelection
from downloadd.policy.redaction import redact_url
from downloadd.request_fields import MAX_HEADERS, Credentials, RequestFields, parse_request_fields

MAX_LIST_BYTES: Final = 64 << 20
"""Bytes of a list."""

_FIELD_OPTIONS: Final = frozenset({"header", "referer", "user-agent", "http-user", "http-passwd"})
"""Options that become request fields."""
_OPTIONS: Final = frozenset({"out", "dir", "checksum", *_FIELD_OPTIONS})
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,30}://")
_MAGNET: Final = "magnet:?"
_OPTION_NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,40}")


class _Entry(msgspec.Struct):
    """One file of a list, and its options so far."""

    line: int
    urls: list[str]
    options: dict[str, str] = msgspec.field(default_factory=dict)
    headers: list[str] = msgspec.field(default_factory=list)
    """Values of the option `header`, which may be given several times."""
    parameters: dict[str, Any] = msgspec.field(default_factory=dict)
    """Values of the options in `PARSERS`."""


def read_urls(file: BinaryIO) -> Iterator[ImportItem]:
    """Yield the files of a list, which may be compressed by gzip; see `importers.Reader`."""
    check_list_size(file, "list")
    with decompressed(file, MAX_LIST_BYTES) as text:
        yield from _read_entries(text)


def _read_entries(file: BinaryIO) -> Iterator[ImportItem]:
    entry: _Entry | None = None
    is_torrent = False
    has_links = False
    for number, line in enumerate(chain(read_lines(file), ("",)), start=1):
        stripped = line.strip()
        if stripped.startswith("#"):
            continue
        is_option = stripped != "" and line[0] in " \t" and _SCHEME.match(stripped) is None
        if is_option and entry is not None:
            yield from _read_option(entry, stripped, number)
            continue
        if is_option and is_torrent:
            continue
        if entry is not None:
            has_links = True
            yield from _finish(entry)
            entry = None
        is_torrent = stripped.startswith(_MAGNET)
        if not stripped:
            continue
        urls = [url for part in stripped.split("\t") if (url := part.strip())]
        if len(line) > MAX_LINE_CHARACTERS:
            yield SkippedEntry(
                reason=SkipReason.TOO_LONG,
                detail=f"the line is longer than {MAX_LINE_CHARACTERS} characters",
                line=number,
            )
        elif is_torrent:
            yield SkippedEntry(
                reason=SkipReason.NO_URL, detail=f"line {number}: BitTorrent is not supported", line=number
            )
        elif _SCHEME.match(urls[0]) is None:
            # The line is not quoted: without its scheme, it may be a URL with a password.
            yield no_url(number)
        else:
            entry = _Entry(line=number, urls=urls)
    if not has_links:
        raise ImportRefusedError("the list contains no URL; write one per line")


def no_url(line: int) -> SkippedEntry:
    """Return the report of a line or row without a URL."""
    return SkippedEntry(
        reason=SkipReason.NO_URL, detail=f"line {line}: no URL with its scheme, such as https://", line=line
    )


def check_list_size(file: BinaryIO, kind: str) -> None:
    """Check the size of a file, which the message calls `kind`.

    Raises:
        ImportRefusedError: the file is longer than `MAX_LIST_BYTES`.
    """
    if file.seek(0, 2) > MAX_LIST_BYTES:
        raise ImportRefusedError(
            f"the {kind} is longer than {MAX_LIST_BYTES >> 20} MiB", ImportErrorCode.FILE_TOO_LARGE
        )


def derive_file_id(url: str) -> str:
    """Return an id for a file that is identified by its URL only."""
    return hashlib.sha256(url.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _read_option(entry: _Entry, text: str, number: int) -> Iterator[ImportItem]:
    name, _, value = text.partition("=")
    name = name.strip()
    if name == "header":
        # More of them are refused as a whole.
        if len(entry.headers) <= MAX_HEADERS:
            entry.headers.append(value.strip())
        return
    if name in _OPTIONS:
        entry.options[name] = value.strip()
        return
    if name in PARSERS:
        try:
            entry.parameters[name] = PARSERS[name](value.strip())
        except ValueError as error:
            yield SkippedEntry(reason=SkipReason.INVALID_OPTION, detail=f"line {number}: {name}: {error}", line=number)
        return
    # A name that has no form of an option may be a part of a URL with a password.
    shown = name if _OPTION_NAME.fullmatch(name) else "the line"
    yield SkippedEntry(
        reason=SkipReason.UNKNOWN_OPTION, detail=f"line {number}: {shown} {describe_unused(name)}", line=number
    )


def _split_name(path: str) -> tuple[str, str]:
    """Return the directory and the name; a misplaced URL, which may hold a password, stays a name that is refused."""
    if redact_url(path) != path or _SCHEME.match(path) is not None:
        return "", path
    folder, _, name = path.rpartition("/")
    return folder, name


def _finish(entry: _Entry) -> Iterator[ImportItem]:
    selection, options = UrlSelection(), entry.options
    usable = [url for url in entry.urls if selection.accept(url)]
    for reason, problem in selection.problems() if usable else ():
        yield _skip(reason, entry, f"{problem}; the others are used")
    # Of a file that has only such URLs, the download fails and says why.
    urls = usable or entry.urls
    if len(urls) > 1 + MAX_MIRRORS:
        detail = f"of {len(urls)} URLs, the first {1 + MAX_MIRRORS} are used"
        yield _skip(SkipReason.TOO_MANY_MIRRORS, entry, detail)
    for problem in _find_unsent(options, urls[0]):
        yield _skip(SkipReason.INVALID_OPTION, entry, problem)
    fields = None
    try:
        fields = _parse_fields(entry, urls[0])
    except InvalidParameterError as error:
        yield _skip(SkipReason.INVALID_OPTION, entry, error.detail)
    folder, name = _split_name(options.get("out", ""))
    directory = options.get("dir", "")
    yield FileLink(
        file_id=derive_file_id(urls[0]),
        url=urls[0],
        mirrors=tuple(urls[1 : 1 + MAX_MIRRORS]),
        name=name,
        directory="/".join(part for part in (directory, folder) if part),
        checksum=options.get("checksum"),
        line=entry.line,
        request_fields=fields,
        parameters=make_parameters(entry.parameters),
    )


def _skip(reason: SkipReason, entry: _Entry, detail: str) -> SkippedEntry:
    return SkippedEntry(reason=reason, detail=f"line {entry.line}: {detail}", line=entry.line)


def _parse_fields(entry: _Entry, url: str) -> RequestFields | None:
    """Return the request fields of a file with this URL.

    Raises:
        InvalidParameterError: one of them cannot be sent; the message holds no value.
    """
    options = entry.options
    referer = options.get("referer")
    if referer == "*":
        referer = None if _holds_secret(url) else _referer_of(url)
    user = options.get("http-user")
    return parse_request_fields(
        headers=[_split_header(header) for header in entry.headers],
        referer=referer,
        user_agent=options.get("user-agent"),
        auth=None if not user else Credentials(user=user, password=options.get("http-passwd", "")),
    )


def _find_unsent(options: Mapping[str, str], url: str) -> Iterator[str]:
    """Yield a clause about each option that is not sent with the other request fields."""
    if options.get("referer") == "*" and _holds_secret(url):
        yield "referer is not sent: the URL holds a secret, which it would disclose"
    if options.get("http-passwd") and not options.get("http-user"):
        yield "http-passwd is not sent: http-user is missing"


def _referer_of(url: str) -> str:
    """Return the URL itself without its fragment, as aria2 reads `referer=*`."""
    return url.partition("#")[0]


def _holds_secret(url: str) -> bool:
    referer = _referer_of(url)
    return redact_url(referer) != referer


def _split_header(text: str) -> tuple[str, str]:
    name, _, value = text.partition(":")
    return name.strip(), value.strip()
