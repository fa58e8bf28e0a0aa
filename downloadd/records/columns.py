"""Table of the columns of a download, which maps the fields of `Download` to SQL.

A new field needs its line in a struct of `Download`, its line here, and a migration. Everything else is derived: the
lists of columns in the statements, the encoding and decoding of rows, and the check of their types.

Pure: no I/O and no clock.
"""

import re
from collections.abc import Callable, Iterable
from enum import Enum, StrEnum
from operator import attrgetter
from types import NoneType
from typing import Any, Final, get_args, get_type_hints

import msgspec
from msgspec.structs import fields

from downloadd.attempt_options import AttemptOptions
from downloadd.download import (
    Condition,
    Conflict,
    Control,
    Desired,
    Download,
    Mirror,
    OriginDigest,
    PendingRule,
    Progress,
    Request,
    Result,
    ResumedBy,
    SupersededPart,
)
from downloadd.errors import ErrorCode, NetworkErrorKind
from downloadd.request_fields import RequestFields
from downloadd.states import State

PARTS: Final[dict[str, type[msgspec.Struct]]] = {
    "request": Request,
    "control": Control,
    "progress": Progress,
    "result": Result,
}
"""The structs in a `Download`, by field, in the order of a row."""


class ColumnOwner(Enum):
    """The writer of a column after the download was accepted."""

    REQUEST = "request"
    """Written with the request; changed by users while no run holds the download."""
    USER = "user"
    """Users. What they change while the download is active, its run reads with each write."""
    RUN = "run"
    """The run that holds the download."""
    STORE = "store"
    """The store, which assigns the value."""


class Codec(msgspec.Struct, frozen=True, kw_only=True):
    """The conversion between the value of a field and the value that SQLite stores."""

    stored: frozenset[type]
    """Types that SQLite returns for an undamaged value."""
    encode: Callable[[Any], Any] | None = None
    decode: Callable[[Any], Any] | None = None
    """Raises KeyError, ValueError or MsgspecError for a value that `encode` never returns."""


class Column(msgspec.Struct, frozen=True):
    """A column of the table `downloads`."""

    name: str
    """In SQL."""
    path: str
    """The field of `Download`, as `operator.attrgetter` takes it."""
    owner: ColumnOwner
    codec: Codec | None = None
    """None: SQLite stores the value of the field as it is."""
    null_means: str | None = None
    """Name of the column with the same value, if this one is null."""

    @property
    def group(self) -> str:
        """Return the field of `Download` that holds the field; "" for a field of `Download` itself."""
        return self.path.rpartition(".")[0]

    @property
    def field(self) -> str:
        """Return the name of the field in its struct."""
        return self.path.rpartition(".")[2]

    @property
    def stored(self) -> frozenset[type]:
        """Return the types that SQLite returns for an undamaged value."""
        types = _stored_as(_HINTS[self.group][self.field]) if self.codec is None else self.codec.stored
        return types if self.null_means is None else types | {NoneType}


def _members(kind: type[StrEnum]) -> Codec:
    # Calling the enum costs five times as much as a lookup in a dictionary.
    members = {member.value: member for member in kind}
    return Codec(stored=frozenset({str}), encode=attrgetter("_value_"), decode=members.__getitem__)


def _optional(codec: Codec) -> Codec:
    encode, decode = codec.encode, codec.decode
    assert encode is not None and decode is not None  # noqa: S101, PT018 - narrows the types
    return Codec(
        stored=codec.stored | {NoneType},
        encode=lambda value: None if value is None else encode(value),
        decode=lambda value: None if value is None else decode(value),
    )


def _list_of(kind: type[msgspec.Struct]) -> Codec:
    """Return the codec of a tuple of structs: JSON, and null for an empty tuple."""
    decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(tuple[kind, ...])  # type: ignore[valid-type]
    return Codec(
        stored=frozenset({str, NoneType}),
        encode=lambda items: msgspec.json.encode(items).decode() if items else None,
        decode=lambda text: () if text is None else decoder.decode(text),
    )


def _json(kind: type[msgspec.Struct]) -> Codec:
    """Return the codec of a struct, or None: JSON, and null."""
    decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(kind)
    return _optional(
        Codec(
            stored=frozenset({str}),
            encode=lambda item: msgspec.json.encode(item).decode(),
            decode=decoder.decode,
        )
    )


# The text format of `ByteRanges`, which this package may not import.
_RANGES: Final = re.compile(r"(?:\d{1,19}-\d{1,19}(?:,\d{1,19}-\d{1,19})*)?")


def _checked_ranges(text: str | None) -> str | None:
    if text is not None and not _RANGES.fullmatch(text):
        raise ValueError("not byte ranges")
    return text


def _stored_as(hint: Any) -> frozenset[type]:
    """Return the types that SQLite returns for a field of this type hint."""
    # Python accepts an integer in place of a float.
    return frozenset(kind for one in get_args(hint) or (hint,) for kind in ((float, int) if one is float else (one,)))


def _is_reset(column: Column) -> bool:
    """Return True if a fresh start sets the field to its default."""
    if column.group not in {"progress", "result"}:
        return False
    return any(field.name == column.field and not field.required for field in fields(PARTS[column.group]))


STATES: Final = {member.value: member for member in State}
"""The states by their stored text."""

_FLAG: Final = Codec(stored=frozenset({int}), encode=(0, 1).__getitem__, decode={0: False, 1: True}.__getitem__)
_BYTE_RANGES: Final = Codec(stored=frozenset({str, NoneType}), decode=_checked_ranges)
_HINTS: Final = {"": get_type_hints(Download)} | {part: get_type_hints(kind) for part, kind in PARTS.items()}

_REQUEST, _USER, _RUN, _STORE = ColumnOwner.REQUEST, ColumnOwner.USER, ColumnOwner.RUN, ColumnOwner.STORE

COLUMNS: Final = (
    Column("seq", "seq", _STORE),
    Column("id", "id", _REQUEST),
    Column("user", "user", _REQUEST),
    Column("request_id", "request_id", _REQUEST),
    Column("start_time", "start_time", _REQUEST),
    Column("state", "state", _RUN, _members(State)),
    Column("epoch", "epoch", _STORE),
    Column("filename", "filename", _RUN),
    # Few URLs hold secrets: null in place of a copy saves a third of the row.
    Column("secret_url", "request.url", _REQUEST, null_means="shown_url"),
    Column("shown_url", "request.redacted_url", _REQUEST),
    Column("directory", "request.directory", _USER),
    Column("timeout", "request.timeout", _REQUEST),
    Column("mirrors", "request.mirrors", _REQUEST, _list_of(Mirror)),
    Column("wanted_name", "request.requested_name", _USER),
    Column("conflict", "request.conflict", _USER, _members(Conflict)),
    Column("checksum_wanted", "request.requested_checksum", _USER),
    Column("size_wanted", "request.expected_size", _REQUEST),
    Column("type_wanted", "request.expected_type", _REQUEST),
    Column("operation", "request.operation", _REQUEST),
    Column("segments", "request.segments", _USER),
    Column("request_fields", "request.fields", _REQUEST, _json(RequestFields)),
    Column("gid", "request.gid", _REQUEST),
    Column("attempt_options", "request.attempt_options", _USER, _json(AttemptOptions)),
    Column("condition", "request.condition", _REQUEST, _json(Condition)),
    Column("pending_rules", "request.pending_rules", _USER, _list_of(PendingRule)),
    Column("part_directory", "request.part_directory", _USER),
    Column("skip_same", "request.skip_same", _REQUEST, _FLAG),
    Column("desired", "control.desired", _USER, _members(Desired)),
    Column("priority", "control.priority", _USER),
    Column("speed_limit", "control.speed_limit", _USER),
    Column("place", "control.place", _USER),
    Column("start_after", "control.not_before", _USER),
    Column("origin", "progress.origin", _RUN),
    Column("turn", "progress.source", _RUN),
    Column("attempt", "progress.attempt", _RUN),
    Column("failures", "progress.failures", _RUN),
    Column("not_before", "progress.not_before", _RUN),
    Column("retrying_since", "progress.retrying_since", _RUN),
    Column("time_spent", "progress.time_spent", _RUN),
    Column("received", "progress.received", _RUN),
    Column("received_ranges", "progress.received_ranges", _RUN, _BYTE_RANGES),
    Column("moved", "progress.url_changed", _RUN, _FLAG),
    Column("total", "progress.total", _RUN),
    Column("validator", "progress.validator", _RUN),
    Column("coding", "progress.coding", _RUN),
    Column("found_at", "progress.final_url_digest", _RUN),
    Column("promises", "progress.origin_digests", _RUN, _list_of(OriginDigest)),
    Column("part_name", "progress.part_name", _RUN),
    Column("publishing", "progress.publishing", _RUN, _FLAG),
    Column("last_modified", "progress.last_modified", _RUN),
    Column("weak_tag", "progress.weak_tag", _RUN),
    Column("resumed_by", "progress.resumed_by", _RUN, _optional(_members(ResumedBy))),
    Column("superseded", "progress.superseded", _RUN, _json(SupersededPart)),
    Column("strict_resume", "progress.strict_resume", _RUN, _FLAG),
    Column("content_type", "result.content_type", _RUN),
    Column("checksum", "result.checksum", _RUN),
    Column("error", "result.error", _RUN, _optional(_members(ErrorCode))),
    Column("detail", "result.detail", _RUN),
    Column("cause", "result.cause", _RUN, _optional(_members(NetworkErrorKind))),
    Column("origin_status", "result.origin_status", _RUN),
    Column("warning", "result.warning", _RUN),
    Column("file_identity", "result.file_identity", _RUN),
    Column("end_time", "result.end_time", _RUN),
    Column("ended_seq", "result.ended_seq", _STORE),
    Column("secrets_removed", "result.secrets_removed", _RUN, _FLAG),
    Column("cleared", "result.cleared", _USER, _FLAG),
    Column("resource", "result.resource", _RUN),
)
"""Every column, in the order of a row: the fields of `Download` itself, then those of each part, in its order."""

SUPERSEDED_PART_NAME: Final = "CASE WHEN json_valid(superseded) THEN json_extract(superseded, '$.part_name') END"
"""Expression for the name in the column `superseded`; NULL also if the column is damaged."""

PART_DIRECTORY: Final = "coalesce(part_directory, directory)"
"""Expression for the directory of the part files."""

WRITTEN_COLUMNS: Final = tuple(column for column in COLUMNS if column.name != "seq")
"""The columns that an insertion writes besides `seq`."""

RUN_COLUMNS: Final = tuple(column for column in COLUMNS if column.owner is _RUN)

USER_COLUMNS: Final = tuple(column for column in COLUMNS if column.owner is _USER and column.group != "result")
"""The columns that users may change while a run holds the download."""

ENDING_COLUMNS: Final = (
    *RUN_COLUMNS,
    *(column for column in COLUMNS if column.path in {"request.url", "request.mirrors", "request.fields"}),
)
"""The columns that a run writes with the end of its download: the secrets of the request leave the records then."""

INITIAL_COLUMNS: Final = tuple(
    column for column in WRITTEN_COLUMNS if column.owner is not _STORE and not _is_reset(column)
)
"""The columns that describe a download without a run; all others have their defaults, in the table too."""


def names(columns: Iterable[Column]) -> str:
    """Return the list of the columns, as a statement takes it."""
    return ", ".join(column.name for column in columns)


def placeholders(columns: Iterable[Column]) -> str:
    """Return a parameter for each column, as `VALUES` takes it."""
    return ", ".join("?" for _ in columns)


def assignments(columns: Iterable[Column]) -> str:
    """Return an assignment of a parameter to each column, as `SET` takes it."""
    return ", ".join(f"{column.name} = ?" for column in columns)
