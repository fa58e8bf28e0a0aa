"""Tables of an SQLite file of records that are copied into PostgreSQL, with the conversion of their rows.

Pure: no I/O and no clock.
"""

from collections.abc import Callable, Sequence
from types import NoneType
from typing import Any, Final

import msgspec

from downloadd.import_operation import Channel, FileLink, SkippedEntry, WorkspaceUser
from downloadd.records.columns import COLUMNS, WRITTEN_COLUMNS
from downloadd.records.import_operations import COLUMNS as OPERATION_COLUMNS
from downloadd.records.import_operations import decode_operation, encode_operation
from downloadd.records.object_uploads import PART_FIELDS, UPLOAD_FIELDS, decode_upload
from downloadd.records.origins import OriginRecord
from downloadd.records.postgres.import_contents import encode_link
from downloadd.records.postgres.import_keys import import_key
from downloadd.records.postgres.statements import FOLDED, fold
from downloadd.records.rows import Row, corrupt_row_error, decode, decode_struct, encode
from downloadd.records.schedules import decode_schedule
from downloadd.states import FINISHED

_TEXT: Final[frozenset[type]] = frozenset({str})
_TEXT_OR_NULL: Final[frozenset[type]] = frozenset({str, NoneType})
_INTEGER: Final[frozenset[type]] = frozenset({int})
_INTEGER_OR_NULL: Final[frozenset[type]] = frozenset({int, NoneType})
_REAL: Final[frozenset[type]] = frozenset({float})
_BYTES: Final[frozenset[type]] = frozenset({bytes})


class CopiedTable(msgspec.Struct, frozen=True, kw_only=True):
    """Table, or a part of one, that is copied."""

    label: str
    """Plural, for the report."""
    table: str
    """Name in PostgreSQL."""
    select: str
    """Selects the rows in SQLite."""
    columns: tuple[str, ...]
    """Columns in PostgreSQL."""
    convert: Callable[[Row], Row]
    """Returns the values of `columns` for a selected row. Raises `StorageError` for a damaged row."""
    sequence: str | None = None
    """Sequence of the first column, which continues after the copied numbers."""


def _checked(row: Row, types: Sequence[frozenset[type]], *, name: int, kind: str) -> Row:
    """Return the values of a row of these types, with text in place of bytes where text is expected.

    Raises:
        StorageError: a value has another type.
    """
    values = []
    for value, stored in zip(row, types, strict=True):
        if type(value) is bytes and str in stored:
            try:
                value = value.decode("utf-8", "surrogatepass")
            except UnicodeDecodeError as error:
                raise corrupt_row_error(kind, _name(row[name]), "a text is not UTF-8") from error
        if type(value) not in stored:
            raise corrupt_row_error(kind, _name(row[name]), "a value has another type")
        values.append(value)
    return tuple(values)


def _name(value: object) -> object:
    return value.decode(errors="replace") if isinstance(value, bytes) else value


def _read_json(text: str, struct: type[Any], *, name: object, kind: str) -> Any:
    try:
        return msgspec.json.decode(text, type=struct)
    except (msgspec.MsgspecError, ValueError) as error:
        raise corrupt_row_error(kind, name, "it is malformed") from error


def _convert_download(row: Row) -> Row:
    download = decode(row)
    is_ended = download.state in FINISHED
    return (download.seq, *encode(download, download.result.ended_seq), fold(download) if is_ended else None)


_RESPONSE_TYPES: Final = (_TEXT, _TEXT, _BYTES, _INTEGER, _BYTES, _REAL)


def _convert_response(row: Row) -> Row:
    return _checked(row, _RESPONSE_TYPES, name=1, kind="the response under the Idempotency-Key")


def _convert_operation(row: Row) -> Row:
    number, *values = row
    return (number, *encode_operation(decode_operation(tuple(values))))


_ENTRY_TYPES: Final = (_TEXT, _TEXT, _TEXT, _INTEGER)


def _convert_user(row: Row) -> Row:
    operation, id, text, selected = _checked(row, _ENTRY_TYPES, name=1, kind="imported user")
    _read_json(text, WorkspaceUser, name=id, kind="imported user")
    return operation, import_key(id), text, selected == 1


def _convert_channel(row: Row) -> Row:
    operation, id, text, selected = _checked(row, _ENTRY_TYPES, name=1, kind="imported channel")
    channel: Channel = _read_json(text, Channel, name=id, kind="imported channel")
    return operation, import_key(id), text, channel.name, channel.directory or None, selected == 1


_FILE_TYPES: Final[dict[str, frozenset[type]]] = {
    "number": _INTEGER,
    "operation": _TEXT,
    "wanted": _TEXT,
    "owner": _TEXT,
    "link": _TEXT,
    "archived": _INTEGER,
    "file_id": _TEXT_OR_NULL,
    "rank": _INTEGER,
    "status": _TEXT,
    "run": _TEXT_OR_NULL,
    "download_id": _TEXT_OR_NULL,
    "saved_path": _TEXT_OR_NULL,
    "saved_size": _INTEGER_OR_NULL,
    "saved_checksum": _TEXT_OR_NULL,
    "error": _TEXT_OR_NULL,
    "error_detail": _TEXT_OR_NULL,
}


def _convert_file(row: Row) -> Row:
    values = _checked(row, tuple(_FILE_TYPES.values()), name=0, kind="import file no.")
    number, operation, wanted, owner, text, archived, file_id, *others = values
    link: FileLink = _read_json(text, FileLink, name=number, kind="import file no.")
    key = None if file_id is None else import_key(file_id)
    return (number, operation, wanted, import_key(owner), *encode_link(link), archived == 1, key, *others)


_SKIPPED_TYPES: Final = (_INTEGER, _TEXT, _TEXT, _TEXT, _TEXT)


def _convert_schedule(row: Row) -> Row:
    decode_schedule(row)
    return row


def _convert_skipped(row: Row) -> Row:
    values = _checked(row, _SKIPPED_TYPES, name=0, kind="skipped entry no.")
    number, operation, channel_id, file_id, text = values
    _read_json(text, SkippedEntry, name=number, kind="skipped entry no.")
    return number, operation, import_key(channel_id), import_key(file_id), text


_DELIVERY_TYPES: Final = (_INTEGER, _TEXT, _TEXT, _TEXT, _BYTES, _REAL, _INTEGER, _REAL)


def _convert_delivery(row: Row) -> Row:
    return _checked(row, _DELIVERY_TYPES, name=1, kind="delivery")


def _convert_origin(row: Row) -> Row:
    return msgspec.structs.astuple(decode_struct(row, OriginRecord, name=0, kind="origin", strict=False))


def _convert_upload(row: Row) -> Row:
    return msgspec.structs.astuple(decode_upload(row))


_PART_TYPES: Final = (_TEXT, _INTEGER, _TEXT, _TEXT)


def _convert_user_day(row: Row) -> Row:
    return _checked(row, (_TEXT, _TEXT, _TEXT, _INTEGER), name=0, kind="bytes of a day of user")


def _convert_user_file(row: Row) -> Row:
    return _checked(row, (_TEXT, _TEXT, _TEXT, _INTEGER), name=2, kind="file")


def _convert_upload_part(row: Row) -> Row:
    return _checked(row, _PART_TYPES, name=0, kind="a part of the upload of download")


# The SQL is composed of names in this module and in the table of columns only.
# ruff: noqa: S608
_COLUMN_LIST: Final = ", ".join(column.name for column in COLUMNS)
_DOWNLOAD_COLUMNS: Final = ("seq", *(column.name for column in WRITTEN_COLUMNS), FOLDED)
_RESPONSE_COLUMNS: Final = ("user", "key", "fingerprint", "status", "body", "created")
_SKIPPED_COLUMNS: Final = ("number", "operation", "owner", "file_id", "entry")
# A lease ends with the daemon that took it.
_DELIVERY_COLUMNS: Final = ("number", "event_id", "hook", "download_id", "body", "created", "tries", "due")
_FILE_COLUMNS: Final = (
    *("number", "operation", "wanted", "owner", "link", "request_fields", "archived"),
    *tuple(_FILE_TYPES)[6:],
)

COPIED_TABLES: Final = (
    CopiedTable(
        label="active downloads",
        table="downloads",
        select=f"SELECT {_COLUMN_LIST} FROM downloads WHERE ended_seq IS NULL ORDER BY seq",
        columns=_DOWNLOAD_COLUMNS,
        convert=_convert_download,
    ),
    CopiedTable(
        label="downloads of the history",
        table="downloads",
        select=f"SELECT {_COLUMN_LIST} FROM downloads WHERE ended_seq IS NOT NULL ORDER BY seq",
        columns=_DOWNLOAD_COLUMNS,
        convert=_convert_download,
    ),
    CopiedTable(
        label="responses to requests with an Idempotency-Key",
        table="answers",
        select=f"SELECT {', '.join(_RESPONSE_COLUMNS)} FROM answers",
        columns=_RESPONSE_COLUMNS,
        convert=_convert_response,
    ),
    CopiedTable(
        label="import operations",
        table="operations",
        select=f"SELECT rowid, {', '.join(OPERATION_COLUMNS)} FROM operations ORDER BY rowid",
        columns=("number", *OPERATION_COLUMNS),
        convert=_convert_operation,
        sequence="operations_number_seq",
    ),
    CopiedTable(
        label="imported users",
        table="import_people",
        select="SELECT operation, user_id, person, do_import FROM import_people",
        columns=("operation", "user_id", "person", "do_import"),
        convert=_convert_user,
    ),
    CopiedTable(
        label="imported channels",
        table="import_channels",
        select="SELECT operation, channel_id, channel, do_import FROM import_channels",
        columns=("operation", "channel_id", "channel", "name", "directory", "do_import"),
        convert=_convert_channel,
    ),
    CopiedTable(
        label="files of imports",
        table="import_files",
        select=f"SELECT {', '.join(_FILE_TYPES)} FROM import_files ORDER BY number",
        columns=_FILE_COLUMNS,
        convert=_convert_file,
        sequence="import_files_number_seq",
    ),
    CopiedTable(
        label="skipped parts of imports",
        table="import_skipped",
        select=f"SELECT {', '.join(_SKIPPED_COLUMNS)} FROM import_skipped ORDER BY number",
        columns=_SKIPPED_COLUMNS,
        convert=_convert_skipped,
        sequence="import_skipped_number_seq",
    ),
    CopiedTable(
        label="schedules",
        table="schedules",
        select="SELECT name, revision, body FROM schedules ORDER BY name",
        columns=("name", "revision", "body"),
        convert=_convert_schedule,
    ),
    CopiedTable(
        label="messages to hooks",
        table="deliveries",
        select=f"SELECT {', '.join(_DELIVERY_COLUMNS)} FROM deliveries ORDER BY number",
        columns=_DELIVERY_COLUMNS,
        convert=_convert_delivery,
        sequence="deliveries_number_seq",
    ),
    CopiedTable(
        label="origins that are not healthy",
        table="origins",
        select=f"SELECT {', '.join(OriginRecord.__struct_fields__)} FROM origins",
        columns=OriginRecord.__struct_fields__,
        convert=_convert_origin,
    ),
    CopiedTable(
        label="uploads to object storage",
        table="object_uploads",
        select=f"SELECT {', '.join(UPLOAD_FIELDS)} FROM object_uploads",
        columns=UPLOAD_FIELDS,
        convert=_convert_upload,
    ),
    CopiedTable(
        label="uploaded parts",
        table="object_parts",
        select=f"SELECT download_id, {', '.join(PART_FIELDS)} FROM object_parts",
        columns=("download_id", *PART_FIELDS),
        convert=_convert_upload_part,
    ),
    CopiedTable(
        label="bytes of users by day",
        table="user_days",
        select="SELECT user, day, process, received FROM user_days",
        columns=("user", "day", "process", "received"),
        convert=_convert_user_day,
    ),
    CopiedTable(
        label="files of users whose downloads were removed",
        table="user_files",
        select="SELECT user, directory, filename, size FROM user_files",
        columns=("user", "directory", "filename", "size"),
        convert=_convert_user_file,
    ),
)
"""All tables of which each row is copied, in the order of the report."""
