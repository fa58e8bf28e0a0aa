"""Status of downloads as aria2 reports it: a table of keys, and the functions that make their values.

All values are texts. Only the keys that a call asks for are made. Pure: no I/O and no clock.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final

import msgspec

from downloadd.download import Desired, Download, Snapshot
from downloadd.fronts.aria2.options.locations import join_root
from downloadd.fronts.aria2.status.error_codes import ExitStatus, exit_status_of
from downloadd.policy.redaction import redact_url
from downloadd.states import FINISHED, RUNNING, State
from downloadd.transfer.byte_ranges import ByteRanges

MIN_PIECE_BYTES: Final = 1 << 20
MAX_PIECES: Final = 10_240
"""Pieces of one file; AriaNg does not draw more."""

_SURROGATE: Final = re.compile(r"[\ud800-\udfff]")


class Status(StrEnum):
    """Status of a download in aria2."""

    ACTIVE = "active"
    WAITING = "waiting"
    PAUSED = "paused"
    COMPLETE = "complete"
    ERROR = "error"
    REMOVED = "removed"


STATUS_OF_STATE: Final[Mapping[State, Status]] = MappingProxyType(
    {
        State.QUEUED: Status.WAITING,
        State.STARTING: Status.ACTIVE,
        State.DOWNLOADING: Status.ACTIVE,
        # Between two attempts too.
        State.RETRYING: Status.ACTIVE,
        State.VERIFYING: Status.ACTIVE,
        State.PAUSED: Status.PAUSED,
        State.COMPLETED: Status.COMPLETE,
        State.FAILED: Status.ERROR,
        State.CANCELLED: Status.REMOVED,
        State.SKIPPED: Status.COMPLETE,
    }
)

ACTIVE_STATES: Final = frozenset(state for state, status in STATUS_OF_STATE.items() if status is Status.ACTIVE)
"""States of active downloads."""


class View(msgspec.Struct, frozen=True, kw_only=True):
    """Facts about the reader of a status."""

    root: str
    """The absolute path of the storage root."""
    shows_urls: bool
    """True for URLs with their secrets."""


class _Row:
    """One download whose status is made."""

    __slots__ = ("download", "snapshot", "status", "view")

    def __init__(self, snapshot: Snapshot, view: View) -> None:
        self.snapshot = snapshot
        self.view = view
        self.download = snapshot.download
        self.status = status_of(snapshot.download)

    @property
    def total(self) -> int:
        """The length of the file, 0 until it is known."""
        progress = self.download.progress
        if progress.total is None:
            return progress.received if self.download.state is State.COMPLETED else 0
        return progress.total


def status_of(download: Download) -> Status:
    """Return the status; a running download that is to be paused is paused already."""
    if download.state in RUNNING and download.control.desired is Desired.PAUSE:
        return Status.PAUSED
    return STATUS_OF_STATE[download.state]


def make_statuses(snapshots: Iterable[Snapshot], keys: Sequence[str] | None, view: View) -> list[dict[str, Any]]:
    """Return the status of each download with these keys; all without keys, and unknown ones are ignored."""
    selected = [(key, FIELDS[key]) for key in dict.fromkeys(keys) if key in FIELDS] if keys else list(FIELDS.items())
    return [_make_status(_Row(snapshot, view), selected) for snapshot in snapshots]


def make_files(snapshot: Snapshot, view: View) -> list[dict[str, Any]]:
    """Return the files of a download, which are one."""
    return _files(_Row(snapshot, view))


def make_uris(snapshot: Snapshot, view: View) -> list[dict[str, str]]:
    """Return the URIs of a download."""
    return _uris(_Row(snapshot, view))


def make_servers(snapshot: Snapshot, view: View) -> list[dict[str, Any]]:
    """Return the servers that an active download is connected to, by file."""
    row = _Row(snapshot, view)
    servers = []
    if snapshot.download.state in RUNNING:
        uri = _source_uri(row)
        servers = [{"uri": uri, "currentUri": _current_uri(row) or uri, "downloadSpeed": _speed(row)}]
    return [{"index": "1", "servers": servers}]


def _make_status(row: _Row, selected: Sequence[tuple[str, Callable[[_Row], Any]]]) -> dict[str, Any]:
    made = ((key, make(row)) for key, make in selected)
    return {key: value for key, value in made if value is not None}


# -- values, None for a key that the download does not have ------------------------------------------------------------


def _total(row: _Row) -> str:
    return str(row.total)


def _completed(row: _Row) -> str:
    return str(row.download.progress.received)


def _speed(row: _Row) -> str:
    speed = row.snapshot.speed
    return "0" if speed is None or row.status is not Status.ACTIVE else str(round(speed))


def _connections(row: _Row) -> str:
    return str(row.snapshot.connections) if row.status is Status.ACTIVE else "0"


def _piece_length(row: _Row) -> str:
    return str(piece_length(row.total))


def _pieces(row: _Row) -> str:
    return str(-(-row.total // piece_length(row.total)))


def _bitfield(row: _Row) -> str | None:
    progress = row.download.progress
    if row.download.state is State.COMPLETED or progress.received_ranges is None:
        ranges: Iterable[tuple[int, int]] = ((0, progress.received),)
    else:
        ranges = ByteRanges.parse(progress.received_ranges)
    return make_bitfield(ranges, row.total) or None


def _directory(row: _Row) -> str:
    return _printable(join_root(row.view.root, row.download.request.directory))


def _path(row: _Row) -> str:
    return _printable(join_root(row.view.root, row.download.request.directory, row.download.filename))


def _files(row: _Row) -> list[dict[str, Any]]:
    return [
        {
            "index": "1",
            "path": _path(row),
            "length": _total(row),
            "completedLength": _completed(row),
            "selected": "true",
            "uris": _uris(row),
        }
    ]


def _uris(row: _Row) -> list[dict[str, str]]:
    download = row.download
    used = download.progress.source if download.progress.attempt or download.state in RUNNING else None
    return [
        {"uri": uri, "status": "used" if number == used else "waiting"} for number, uri in enumerate(_shown_urls(row))
    ]


def _shown_urls(row: _Row) -> list[str]:
    request = row.download.request
    if row.view.shows_urls:
        return [_printable(url) for url in (request.url, *(mirror.url for mirror in request.mirrors))]
    return [request.redacted_url, *(redact_url(mirror.url) for mirror in request.mirrors)]


def _source_uri(row: _Row) -> str:
    uris = _shown_urls(row)
    source = row.download.progress.source
    return uris[source if source < len(uris) else 0]


def _current_uri(row: _Row) -> str | None:
    """Return the URI that redirects have led to; None without redirects."""
    url = row.snapshot.current_url
    return url if url is None or row.view.shows_urls else redact_url(url)


def _error_code(row: _Row) -> str | None:
    return str(int(exit_status_of(row.download))) if row.download.state in FINISHED else None


def _error_message(row: _Row) -> str | None:
    if row.download.state not in FINISHED:
        return None
    if exit_status_of(row.download) is ExitStatus.FINISHED:
        return ""
    return _printable(row.download.result.detail or "")


FIELDS: Final[Mapping[str, Callable[[_Row], Any]]] = MappingProxyType(
    {
        "gid": lambda row: row.download.gid,
        "status": lambda row: row.status.value,
        "totalLength": _total,
        "completedLength": _completed,
        "uploadLength": lambda _: "0",
        "downloadSpeed": _speed,
        "uploadSpeed": lambda _: "0",
        "connections": _connections,
        "numPieces": _pieces,
        "pieceLength": _piece_length,
        "bitfield": _bitfield,
        "dir": _directory,
        "files": _files,
        "errorCode": _error_code,
        "errorMessage": _error_message,
    }
)
"""The function that makes the value of each key."""


# -- pieces ------------------------------------------------------------------------------------------------------------


def piece_length(total: int) -> int:
    """Return the bytes of a piece of a file of `total` bytes: the least power of 2 with at most `MAX_PIECES` pieces."""
    length = MIN_PIECE_BYTES
    while total > length * MAX_PIECES:
        length *= 2
    return length


def make_bitfield(ranges: Iterable[tuple[int, int]], total: int) -> str:
    """Return a bit for each piece that is whole, the first piece in the highest bit, as hex digits of whole bytes.

    Args:
        ranges: the received bytes.
        total: bytes of the file; 0 if unknown, which has no pieces.
    """
    length = piece_length(total)
    count = -(-total // length)
    bits = -(-count // 8) * 8
    field = 0
    for start, end in ranges:
        first = -(-start // length)
        last = count if end >= total else end // length
        if first < last:
            field |= ((1 << (last - first)) - 1) << (bits - last)
    return f"{field:0{bits // 4}x}" if count else ""


def _printable(text: str) -> str:
    """Return a text that can be sent as UTF-8: bytes that are not UTF-8 (PEP 383) are percent-encoded."""
    return text if text.isascii() else _SURROGATE.sub(_replace_surrogate, text)


def _replace_surrogate(found: re.Match[str]) -> str:
    code = ord(found[0]) - 0xDC00
    return f"%{code:02X}" if 0x80 <= code <= 0xFF else "\ufffd"
