"""Encoding of a download as a row of the table, and decoding.

Pure: no I/O and no clock.
"""

import sqlite3
from collections.abc import Sequence
from functools import lru_cache
from operator import attrgetter, itemgetter
from typing import Any, Final, TypeVar

import msgspec
from msgspec.structs import astuple, replace

from downloadd.download import Download, Progress, Result
from downloadd.errors import StorageError
from downloadd.records.columns import (
    COLUMNS,
    ENDING_COLUMNS,
    INITIAL_COLUMNS,
    PARTS,
    RUN_COLUMNS,
    USER_COLUMNS,
    WRITTEN_COLUMNS,
)

S = TypeVar("S", bound=msgspec.Struct)

Row = tuple[Any, ...]
"""The values of one row, in the order of `COLUMNS`."""

# Derived from the table once: batches of thousands of rows are encoded and decoded.
_INDEX: Final = {column.name: index for index, column in enumerate(COLUMNS)}
_ID: Final = _INDEX["id"]
_STORED: Final = tuple(column.stored for column in COLUMNS)
_FLAT: Final = tuple(column.field for column in COLUMNS if not column.group)
_DECODERS: Final = tuple(
    (_INDEX[column.name], column.codec.decode)
    for column in COLUMNS
    if column.codec is not None and column.codec.decode is not None
)
_SAME: Final = tuple((_INDEX[column.name], _INDEX[column.null_means]) for column in COLUMNS if column.null_means)


def _span(part: str) -> slice:
    indexes = [_INDEX[column.name] for column in COLUMNS if column.group == part]
    return slice(min(indexes), max(indexes) + 1)


_PARTS: Final = tuple((part, kind, _span(part)) for part, kind in PARTS.items())

_WRITTEN_INDEX: Final = {column.name: index for index, column in enumerate(WRITTEN_COLUMNS)}
_WRITTEN_ENDED_SEQ: Final = _WRITTEN_INDEX["ended_seq"]
_WRITTEN_FLAT: Final = attrgetter(*(column.path for column in WRITTEN_COLUMNS if not column.group))
_WRITTEN_ENCODERS: Final = tuple(
    (index, column.codec.encode)
    for index, column in enumerate(WRITTEN_COLUMNS)
    if column.codec is not None and column.codec.encode is not None
)
_WRITTEN_SAME: Final = tuple(
    (index, _WRITTEN_INDEX[column.null_means]) for index, column in enumerate(WRITTEN_COLUMNS) if column.null_means
)
_FRESH: Final = itemgetter(*(_WRITTEN_INDEX[column.name] for column in INITIAL_COLUMNS))
_run_columns: Final = itemgetter(*(_WRITTEN_INDEX[column.name] for column in RUN_COLUMNS))
_ending_columns: Final = itemgetter(*(_WRITTEN_INDEX[column.name] for column in ENDING_COLUMNS))
_user_columns: Final = itemgetter(*(_WRITTEN_INDEX[column.name] for column in USER_COLUMNS))
_NO_RESULT: Final = Result()


def encode(download: Download, ended_seq: int | None) -> Row:
    """Return the values of the `WRITTEN_COLUMNS` columns, with `ended_seq` in place of the download's own."""
    values = _encode(download)
    values[_WRITTEN_ENDED_SEQ] = ended_seq
    return tuple(values)


def encode_initial(download: Download) -> Row | None:
    """Return the values of the `INITIAL_COLUMNS` columns; None if another column has a value too."""
    progress = download.progress
    if download.epoch or download.result != _NO_RESULT or progress != Progress(origin=progress.origin):
        return None
    row: Row = _FRESH(_encode(download))
    return row


def encode_run(download: Download) -> tuple[Row, Row]:
    """Return the values of the `RUN_COLUMNS` columns, and those of the `USER_COLUMNS` columns."""
    values = _encode(download)
    return _run_columns(values), _user_columns(values)


def encode_end(download: Download) -> tuple[Row, Row]:
    """Return the values of the `ENDING_COLUMNS` columns, and those of the `USER_COLUMNS` columns."""
    values = _encode(download)
    return _ending_columns(values), _user_columns(values)


def _encode(download: Download) -> list[Any]:
    values = [
        *_WRITTEN_FLAT(download),
        *astuple(download.request),
        *astuple(download.control),
        *astuple(download.progress),
        *astuple(download.result),
    ]
    for index, other in _WRITTEN_SAME:
        if values[index] == values[other]:
            values[index] = None
    for index, convert in _WRITTEN_ENCODERS:
        values[index] = convert(values[index])
    return values


def decode(row: Row) -> Download:
    """Return the download in a row of `COLUMNS`.

    Raises:
        StorageError: the row is damaged: it holds a value that was never written.
    """
    if _mistyped_column(tuple(map(type, row))) is not None:
        row = decode_texts(row, _ID, "download")
        wrong = _mistyped_column(tuple(map(type, row)))
        if wrong is not None:
            raise corrupt_row_error("download", row[_ID], f"{wrong} has another type")
    try:
        return _decode(row)
    except (KeyError, ValueError, msgspec.MsgspecError) as error:
        raise corrupt_row_error("download", row[_ID], _reason(error)) from error


def with_user_columns(download: Download, row: Row, known: Row) -> Download:
    """Return the download with the values in a row of `USER_COLUMNS`.

    Args:
        download: the download.
        row: the row as it is now.
        known: the row as the download has it; most rows have not changed, and need no decoding.

    Raises:
        StorageError: the row is damaged.
    """
    if row == known:
        return download
    _, *texts = decode_texts((download.id, *row), 0, "download")
    parts: dict[str, dict[str, Any]] = {}
    try:
        for column, value in zip(USER_COLUMNS, texts, strict=True):
            if type(value) not in column.stored:
                raise ValueError(f"{column.name} has another type")
            decode = None if column.codec is None else column.codec.decode
            parts.setdefault(column.group, {})[column.field] = value if decode is None else decode(value)
    except (KeyError, ValueError, msgspec.MsgspecError) as error:
        raise corrupt_row_error("download", download.id, _reason(error)) from error
    return replace(download, **{part: replace(getattr(download, part), **fields) for part, fields in parts.items()})


def decode_texts(row: Row, name: int, kind: str) -> Row:
    """Return the row with text in place of bytes.

    Args:
        row: of any table.
        name: index of the value that names the row in the error.
        kind: what the row describes, for the error.

    Raises:
        StorageError: some bytes are not text.
    """
    if bytes not in map(type, row):
        return row
    try:
        return tuple(value.decode("utf-8", "surrogatepass") if type(value) is bytes else value for value in row)
    except UnicodeDecodeError as error:
        called = row[name]
        raise corrupt_row_error(
            kind, called.decode(errors="replace") if isinstance(called, bytes) else called, "a text is not UTF-8"
        ) from error


def decode_struct(row: Row, struct: type[S], *, name: int, kind: str, strict: bool = True) -> S:
    """Return the struct whose fields, in their order, are the values of a row.

    Args:
        row: of any table.
        struct: has fields of simple types.
        name: index of the value that names the row in the error.
        kind: what the row describes, for the error.
        strict: False takes 0 and 1 as bool.

    Raises:
        StorageError: some bytes are not text, or a value has another type.
    """
    row = decode_texts(row, name, kind)
    try:
        return msgspec.convert(dict(zip(struct.__struct_fields__, row, strict=True)), struct, strict=strict)
    except msgspec.ValidationError as error:
        raise corrupt_row_error(kind, row[name], "a value has another type") from error


def corrupt_row_error(kind: str, name: object, reason: str) -> StorageError:
    """Return the error for a row that cannot be read."""
    return StorageError(
        f"the row of {kind} {name} in the daemon's records is damaged ({reason}); it is not changed: repair it, or "
        "restore a backup of the records"
    )


def _reason(error: Exception) -> str:
    # A key is a word of an enumeration, perhaps damaged; other messages may hold the value, which may be a secret.
    return f"unknown word {error!s:.40}" if isinstance(error, KeyError) else "a value is malformed"


@lru_cache(maxsize=1024)
def _mistyped_column(types: tuple[type, ...]) -> str | None:
    """Return the first column with a value of a type that is never written there.

    Cached: many rows have few combinations of types.
    """
    for column, found, stored in zip(COLUMNS, types, _STORED, strict=True):
        if found not in stored:
            return column.name
    return None


def _decode(row: Row) -> Download:
    values = list(row)
    for index, other in _SAME:
        if values[index] is None:
            values[index] = values[other]
    for index, convert in _DECODERS:
        values[index] = convert(values[index])
    fields = dict(zip(_FLAT, values, strict=False))
    for part, kind, span in _PARTS:
        fields[part] = kind(*values[span])
    return Download(**fields)


def to_bindable(values: Sequence[Any]) -> Row:
    """Return the values with text that is not valid Unicode as bytes, which `decode` converts back.

    Fields of a message may hold any byte: they are decoded to text with lone surrogates, and SQLite takes only UTF-8.
    """
    return tuple(
        value.encode("utf-8", "surrogatepass") if isinstance(value, str) and not _is_unicode(value) else value
        for value in values
    )


def execute(cursor: sqlite3.Cursor, sql: str, parameters: Row) -> sqlite3.Cursor:
    """Execute a statement whose parameters may hold text that is not valid Unicode."""
    try:
        return cursor.execute(sql, parameters)
    except UnicodeEncodeError:
        return cursor.execute(sql, to_bindable(parameters))


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
