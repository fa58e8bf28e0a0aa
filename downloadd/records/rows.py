"""A download as a row of the table, and back.

Pure: no I/O and no clock.
"""

import re
from collections.abc import Sequence
from enum import StrEnum
from functools import lru_cache
from types import NoneType
from typing import Any, Final, get_args, get_type_hints

import msgspec

from downloadd.download import Conflict, Desired, Download, Mirror, Promise
from downloadd.errors import ErrorCode, StorageError
from downloadd.states import State

Row = tuple[Any, ...]
"""The values of one row, in the order of `COLUMNS`."""

ASKED: Final = (
    "id",
    "user",
    "secret_url",
    "shown_url",
    "directory",
    "wanted_name",
    "conflict",
    "checksum_wanted",
    "timeout",
    "segments",
    "start_time",
    "mirrors",
    "size_wanted",
    "type_wanted",
    "operation",
    "request_id",
)
"""Columns of what was asked for."""

USER_OWNED: Final = ("desired", "priority", "speed_limit")
"""Columns that users change."""

RUN_OWNED: Final = (
    "host",
    "state",
    "filename",
    "attempt",
    "failures",
    "not_before",
    "time_spent",
    "received",
    "total",
    "validator",
    "part_name",
    "publishing",
    "last_modified",
    "content_type",
    "checksum",
    "error",
    "detail",
    "end_time",
    "received_ranges",
    "moved",
    "turn",
    "coding",
    "promises",
    "found_at",
)
"""Columns that the run which holds the download writes."""

RECORDS_OWNED: Final = ("epoch", "ended_seq")
"""Columns that the records hand out, besides `seq`."""

WRITTEN: Final = (*ASKED, *USER_OWNED, *RUN_OWNED, *RECORDS_OWNED)
"""Every column but `seq`, in the order of `encode`."""

COLUMNS: Final = ("seq", *WRITTEN)
"""Every column, in the order that `decode` takes them."""

FRESH: Final = (*ASKED, *USER_OWNED, *RUN_OWNED[:3])
"""Columns that say all about a download that no run has touched; the table has the defaults of the others."""

_FRESH_RUN: Final = (
    *(0, 0, None, 0.0, 0, None, None, None, 0),
    *(None, None, None, None, None, None, None, 0, 0),
    *(None, None, None),
)

# Looking an enum's member up by calling the enum costs five times as much.
_CONFLICTS: Final = {member.value: member for member in Conflict}
_DESIRED: Final = {member.value: member for member in Desired}
STATES: Final = {member.value: member for member in State}
"""The states by what is written for them."""
_ERRORS: Final = {member.value: member for member in ErrorCode}
_PROMISES: Final = msgspec.json.Decoder(tuple[Promise, ...])
# As `ByteRanges` writes them, a room above.
_RANGES: Final = re.compile(r"(?:\d{1,19}-\d{1,19}(?:,\d{1,19}-\d{1,19})*)?")
_MIRRORS: Final = msgspec.json.Decoder(tuple[Mirror, ...])


def encode(download: Download, ended_seq: int | None) -> Row:
    """The values of the `WRITTEN` columns; `ended_seq` goes in place of the download's own."""
    return (*encode_request(download), *encode_run(download), download.epoch, ended_seq)


def encode_fresh(download: Download) -> Row | None:
    """The values of the `FRESH` columns; None if the download is not fresh, so that they do not say it all."""
    run = encode_run(download)
    if download.epoch or run[3:] != _FRESH_RUN:
        return None
    return (*encode_request(download), *run[:3])


def encode_request(download: Download) -> Row:
    """The values of the `ASKED` and `USER_OWNED` columns."""
    shown_url = download.shown_url
    return (
        download.id,
        download.user,
        # Few URLs hold secrets: a null for all others saves a third of the row.
        None if download.url == shown_url else download.url,
        shown_url,
        download.directory,
        download.wanted_name,
        download.conflict._value_,
        download.checksum_wanted,
        download.timeout,
        download.segments,
        download.start_time,
        msgspec.json.encode(download.mirrors).decode() if download.mirrors else None,
        download.size_wanted,
        download.type_wanted,
        download.operation,
        download.request_id,
        download.desired._value_,
        download.priority,
        download.speed_limit,
    )


def encode_run(download: Download) -> Row:
    """The values of the `RUN_OWNED` columns."""
    error = download.error
    return (
        download.host,
        download.state._value_,
        download.filename,
        download.attempt,
        download.failures,
        download.not_before,
        download.time_spent,
        download.received,
        download.total,
        download.validator,
        download.part_name,
        1 if download.publishing else 0,
        download.last_modified,
        download.content_type,
        download.checksum,
        None if error is None else error._value_,
        download.detail,
        download.end_time,
        download.received_ranges,
        int(download.moved),
        download.turn,
        download.coding,
        msgspec.json.encode(download.promises).decode() if download.promises else None,
        download.found_at,
    )


def decode(row: Row) -> Download:
    """The download in a row of `COLUMNS`.

    Raises:
        StorageError: the row is damaged: what is in it was never written.
    """
    if _wrong_column(tuple(map(type, row))) is not None:
        row = texts(row, 1, "download")
        wrong = _wrong_column(tuple(map(type, row)))
        if wrong is not None:
            raise damaged("download", row[1], f"{wrong} is of another type")
    try:
        return _decode(row)
    except (KeyError, ValueError, msgspec.MsgspecError) as error:
        raise damaged("download", row[1], _reason(error)) from error


def texts(row: Row, name: int, kind: str) -> Row:
    """The row, with text in place of bytes; its cell `name` is what the `kind` of thing in it is called by.

    Raises:
        StorageError: some bytes are no text.
    """
    if bytes not in map(type, row):
        return row
    try:
        return tuple(value.decode("utf-8", "surrogatepass") if type(value) is bytes else value for value in row)
    except UnicodeDecodeError as error:
        called = row[name]
        raise damaged(
            kind, called.decode(errors="replace") if isinstance(called, bytes) else called, "a text is no text"
        ) from error


def damaged(kind: str, name: object, reason: str) -> StorageError:
    """What is said of a row that cannot be read."""
    return StorageError(
        f"the row of {kind} {name} in the daemon's records is damaged ({reason}); it is left as it is: mend it, or "
        "restore a backup of the records"
    )


def _reason(error: Exception) -> str:
    # A key is one of our own words, or what has become of it; other messages may hold what was to be read.
    return f"nothing is called {error!s:.40}" if isinstance(error, KeyError) else "a value is malformed"


@lru_cache(maxsize=1024)
def _wrong_column(types: tuple[type, ...]) -> str | None:
    """The first column that holds what is never written there. There are few shapes of rows, and many rows."""
    for column, found, kinds in zip(COLUMNS, types, _KINDS, strict=True):
        if found not in kinds:
            return column
    return None


def _kinds(column: str) -> frozenset[type]:
    """What SQLite gives for a column, when it is not damaged."""
    if column == "secret_url":
        return frozenset({str, NoneType})
    hint = get_type_hints(Download)[column]
    return frozenset(kind for one in get_args(hint) or (hint,) for kind in _stored_as(one))


def _stored_as(hint: Any) -> tuple[type, ...]:
    if hint is bool:
        return (int,)
    if hint is float:
        return (float, int)
    return (str,) if issubclass(hint, StrEnum) else (hint,)


_KINDS: Final = tuple(
    frozenset({str, NoneType}) if column in {"mirrors", "promises"} else _kinds(column) for column in COLUMNS
)


def _decode(row: Row) -> Download:
    (
        seq,
        id,
        user,
        secret_url,
        shown_url,
        directory,
        wanted_name,
        conflict,
        checksum_wanted,
        timeout,
        segments,
        start_time,
        mirrors,
        size_wanted,
        type_wanted,
        operation,
        request_id,
        desired,
        priority,
        speed_limit,
        host,
        state,
        filename,
        attempt,
        failures,
        not_before,
        time_spent,
        received,
        total,
        validator,
        part_name,
        publishing,
        last_modified,
        content_type,
        checksum,
        error,
        detail,
        end_time,
        received_ranges,
        moved,
        turn,
        coding,
        promises,
        found_at,
        epoch,
        ended_seq,
    ) = row
    if received_ranges is not None and not _RANGES.fullmatch(received_ranges):
        raise ValueError("these are no byte ranges")
    return Download(
        id=id,
        seq=seq,
        user=user,
        url=shown_url if secret_url is None else secret_url,
        shown_url=shown_url,
        directory=directory,
        wanted_name=wanted_name,
        conflict=_CONFLICTS[conflict],
        checksum_wanted=checksum_wanted,
        timeout=timeout,
        segments=segments,
        start_time=start_time,
        mirrors=() if mirrors is None else _MIRRORS.decode(mirrors),
        size_wanted=size_wanted,
        type_wanted=type_wanted,
        operation=operation,
        request_id=request_id,
        desired=_DESIRED[desired],
        priority=priority,
        speed_limit=speed_limit,
        host=host,
        turn=turn,
        state=STATES[state],
        epoch=epoch,
        filename=filename,
        attempt=attempt,
        failures=failures,
        not_before=not_before,
        time_spent=time_spent,
        received=received,
        total=total,
        validator=validator,
        coding=coding,
        promises=() if promises is None else _PROMISES.decode(promises),
        found_at=found_at,
        part_name=part_name,
        publishing=publishing == 1,
        last_modified=last_modified,
        content_type=content_type,
        checksum=checksum,
        error=None if error is None else _ERRORS[error],
        detail=detail,
        end_time=end_time,
        received_ranges=received_ranges,
        moved=bool(moved),
        ended_seq=ended_seq,
    )


def bindable(values: Sequence[Any]) -> Row:
    """The same values, with text that is no Unicode as bytes, which `decode` turns back.

    Fields of a message may hold any byte, and reach us as text with lone surrogates; SQLite takes only UTF-8.
    """
    return tuple(
        value.encode("utf-8", "surrogatepass") if isinstance(value, str) and not _is_unicode(value) else value
        for value in values
    )


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
