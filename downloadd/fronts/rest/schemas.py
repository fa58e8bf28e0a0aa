"""The structs of queries and bodies, in and out: one definition gives validation, JSON and the OpenAPI document.

Pure: no I/O and no clock.
"""

import math
import re
from typing import Annotated, Any, Final, Generic, Literal, TypeVar

import msgspec
from msgspec import UNSET, Meta, UnsetType, inspect

from downloadd.download import Conflict, Download, Snapshot
from downloadd.errors import ErrorCode, InvalidParameterError
from downloadd.fronts.rest.target import Query, decode_form, decode_percent
from downloadd.states import State

MAX_ITEMS: Final = 10_000
"""Downloads that one request may start or list."""

MAX_SOURCES: Final = 16
"""URLs that one download may be fetched from."""

MAX_BODY_BYTES: Final = 16 * 1024 * 1024
"""Bytes of the longest request body."""

_PRINTABLE_NAME: Final = re.compile(r"[A-Za-z_]{1,32}")
"""Names of unknown parameters that an error repeats: a URL that was not percent-encoded may leave a secret for one."""

_REDACTED_NAME: Final = "a name that is not repeated here"

_UNKNOWN_FIELD: Final = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)
_JSON_PATH: Final = re.compile(r" - at `\$([A-Za-z0-9_.\[\]]*)`\Z")
"""Where the library says that a value is wrong, at the end of its sentence."""

MAX_PROBLEM_CHARACTERS: Final = 300
"""Characters of a sentence about a foreign value, which it may quote."""

Timeout = Annotated[
    int, Meta(ge=0, le=31_536_000, description="Seconds in all that the download may take; 0 for no limit.")
]
Segments = Annotated[int, Meta(ge=1, le=16, description="Parallel connections.")]
Priority = Annotated[int, Meta(ge=-1_000_000, le=1_000_000, description="Higher starts first.")]
SpeedLimit = Annotated[int, Meta(ge=0, le=2**62, description="Bytes a second; 0 for no limit.")]
WaitSeconds = Annotated[int, Meta(ge=0, le=3600, description="Seconds to hold the answer until the download ends.")]
Filename = Annotated[str, Meta(description="Name for the file, at most 255 bytes.")]
Checksum = Annotated[str, Meta(description="`<algorithm>=<hex>`; the algorithm is sha-256, sha-512, sha-1 or md5.")]
ImportOperation = Annotated[str, Meta(description="Id of the import that it belongs to.")]
Cursor = Annotated[str, Meta(pattern="^[0-9]{1,18}$", description="Where the page begins; taken from a Link header.")]
ActiveStatus = Annotated[
    Literal["queued", "starting", "downloading", "retrying", "verifying", "paused"],
    Meta(description="Only downloads in this state."),
]
FinishedStatus = Annotated[
    Literal["completed", "failed", "cancelled", "skipped"], Meta(description="Only downloads that ended so.")
]
EmptyString = Annotated[str, Meta(max_length=0, description="Pass an empty string.")]
HistoryDirectory = Annotated[str, Meta(description="Only downloads to this directory; empty for the root itself.")]


class StartQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`GET /{directory}?download=`."""

    download: Annotated[
        list[str],
        Meta(
            min_length=1,
            max_length=MAX_SOURCES,
            description="URL to download from, percent-encoded; given again, mirrors of the same file.",
        ),
    ]
    filename: Filename | None = None
    timeout: Timeout | None = None
    segments: Segments | None = None
    checksum: Checksum | None = None
    conflict: Conflict | None = None
    priority: Priority = 0
    speed_limit: SpeedLimit = 0
    wait: WaitSeconds | None = None


class ListingQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What both listings of active downloads take."""

    limit: Annotated[int, Meta(ge=1, le=MAX_ITEMS, description="Entries on a page.")] = MAX_ITEMS
    status: ActiveStatus | None = None
    cursor: Cursor | None = None


class DirectoryListingQuery(ListingQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`GET /{directory}?downloads=`."""

    downloads: EmptyString


class HistoryQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`GET /?download_history=`."""

    download_history: EmptyString
    limit: Annotated[int, Meta(ge=1, le=1000, description="Entries on a page.")] = 100
    cursor: Cursor | None = None
    status: FinishedStatus | None = None
    directory: HistoryDirectory | None = None
    q: Annotated[str, Meta(description="Only downloads whose URL or file name contains this.")] | None = None


class DirectoriesQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`GET /api/v1/directories`."""

    prefix: Annotated[str, Meta(description="What their paths begin with, such as `Imports/20`.")] = ""
    limit: Annotated[int, Meta(ge=1, le=1000, description="Directories at most.")] = 100


class BatchItem(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One download of a batch."""

    url: str
    mirrors: Annotated[list[str], Meta(max_length=MAX_SOURCES - 1, description="Further URLs of the same file.")] = []
    directory: Annotated[str, Meta(description="Destination below the storage root; empty for the root itself.")] = ""
    filename: Filename | None = None
    timeout: Timeout | None = None
    segments: Segments | None = None
    checksum: Checksum | None = None
    conflict: Conflict | None = None
    priority: Priority = 0
    speed_limit: SpeedLimit = 0


class BatchBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`POST /api/v1/downloads`."""

    downloads: Annotated[list[BatchItem], Meta(min_length=1, max_length=MAX_ITEMS)]


class UncheckedBatchBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A batch whose items are judged one by one, once it is known that not all are as they must be."""

    downloads: Annotated[list[Any], Meta(min_length=1, max_length=MAX_ITEMS)]


class AmendBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`PATCH /api/v1/downloads/{id}`: what is left out stays as it is."""

    priority: Priority | UnsetType = UNSET
    speed_limit: SpeedLimit | UnsetType = UNSET
    url: str | UnsetType = UNSET


class StartResponse(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one order, accepted or refused."""

    download_id: str
    filename: str
    path: Annotated[str, Meta(description="Directory and file name, relative to the storage root.")]
    success: bool
    message: str
    error: ErrorCode | None
    detail: str | UnsetType = UNSET


class BatchResponse(msgspec.Struct, frozen=True, kw_only=True):
    """One result for each download of a batch, in order; `success` when all were accepted."""

    downloads: list[StartResponse]
    success: bool


class ActiveEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A download that has not ended."""

    id: str
    filename: str
    file_path: str
    directory: str
    url: Annotated[str, Meta(description="Without credentials.")]
    status: State
    current_size: Annotated[int, Meta(ge=0, description="Bytes so far.")]
    expected_size: Annotated[int, Meta(ge=0, description="Bytes in all; null until the origin says.")] | None
    progress_percentage: Annotated[float, Meta(ge=0, le=100)] | None
    start_time: Annotated[int, Meta(description="Unix seconds.")]
    speed: Annotated[int, Meta(ge=0, description="Bytes a second over the last seconds.")] | None
    eta: Annotated[int, Meta(ge=0, description="Seconds left at this speed.")] | None
    attempt: Annotated[int, Meta(ge=0)]
    priority: Annotated[int, Meta(description="Higher starts first.")]
    speed_limit: Annotated[int, Meta(ge=0, description="Bytes a second; 0 for none.")]
    error: Annotated[ErrorCode, Meta(description="Why the last attempt ended.")] | None
    reason: Annotated[str, Meta(description="What it waits for.")] | None
    detail: str | None
    operation: ImportOperation | UnsetType = UNSET


class HistoryEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A download that has ended."""

    id: str
    filename: str
    file_path: str
    directory: str
    url: Annotated[str, Meta(description="Without credentials.")]
    status: State
    total_bytes: Annotated[int, Meta(ge=0, description="Bytes of the file; null unless completed.")] | None
    start_time: Annotated[int, Meta(description="Unix seconds.")]
    end_time: Annotated[int, Meta(description="Unix seconds.")]
    error: ErrorCode | None
    checksum: Annotated[str, Meta(description="`<algorithm>=<hex>` of the saved bytes, when computed.")] | None
    content_type: str | None
    user: str
    detail: str | None
    operation: ImportOperation | UnsetType = UNSET


class ActiveEntryResponse(ActiveEntry, frozen=True, kw_only=True):
    """An active download after something was done to it."""

    success: bool
    message: str


class HistoryEntryResponse(HistoryEntry, frozen=True, kw_only=True):
    """An ended download after something was done to it."""

    success: bool
    message: str


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """Active downloads, oldest first."""

    downloads: list[ActiveEntry]


class History(msgspec.Struct, frozen=True, kw_only=True):
    """Ended downloads, newest first."""

    history: list[HistoryEntry]


class Directories(msgspec.Struct, frozen=True, kw_only=True):
    """Directories below the storage root, in the order of their names."""

    directories: list[str]


class ErrorEntry(msgspec.Struct, frozen=True, kw_only=True):
    """What an error code means."""

    code: ErrorCode
    status: Annotated[int, Meta(description="The HTTP status of an answer that reports it.")]
    title: str
    description: str
    resolution: Annotated[str, Meta(description="What to do about it.")]


class ErrorTable(msgspec.Struct, frozen=True, kw_only=True):
    """Every error code."""

    errors: list[ErrorEntry]


class ErrorResponse(msgspec.Struct, frozen=True, kw_only=True):
    """An error that belongs to no download of its own."""

    error: str
    success: bool = False
    detail: str | UnsetType = UNSET
    request_id: str | UnsetType = UNSET


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """The daemon hears."""

    status: str
    version: str


def make_start_response(download: Download) -> StartResponse:
    """What a start is answered with: at once, or after waiting for its end."""
    failed = download.state in _UNSUCCESSFUL_STATES
    return StartResponse(
        download_id=download.id,
        filename=download.filename,
        path=download.file_path,
        success=not failed,
        message=_STATE_MESSAGES.get(download.state, "Download started"),
        error=_reported_error(download) if failed else None,
        detail=download.result.detail if failed and download.result.detail is not None else UNSET,
    )


def make_active_entry(snapshot: Snapshot) -> ActiveEntry:
    """The entry of a listing."""
    return ActiveEntry(**_active_fields(snapshot))


def make_active_response(snapshot: Snapshot, message: str) -> ActiveEntryResponse:
    """The entry of a listing, with what was done."""
    return ActiveEntryResponse(**_active_fields(snapshot), success=True, message=message)


def make_history_entry(download: Download) -> HistoryEntry:
    """The entry of the history."""
    return HistoryEntry(**_history_fields(download))


def make_history_response(download: Download, message: str) -> HistoryEntryResponse:
    """The entry of the history, with what was done."""
    return HistoryEntryResponse(**_history_fields(download), success=True, message=message)


def compute_percentage(current: int, expected: int | None) -> float | None:
    """How much of a download is there, to two decimals, never rounded up: 100.0 means the last byte."""
    if expected is None:
        return None
    if current >= expected:
        return 100.0
    return math.floor(current * 10_000 / expected) / 100


_MESSAGE_REWRITES: Final = (
    (re.compile(r"^Expected `str` of length <= 0$"), "takes no value; leave it empty"),
    (re.compile(r"^Expected `(?:int|float)` >= (-?\d+)$"), r"must be at least \1"),
    (re.compile(r"^Expected `(?:int|float)` <= (\d+)$"), r"must be at most \1"),
    (re.compile(r"^Expected `array` of length >= (\d+)$"), r"must have at least \1 entry"),
    (re.compile(r"^Expected `array` of length <= (\d+)$"), r"must have at most \1 entries"),
)
"""What the library says of values out of range, and how it is said to a user."""


def describe_validation_error(error: msgspec.ValidationError, *, root: str = "") -> InvalidParameterError:
    """The one sentence about a value that is not as it must be; `root` names what a JSON path begins at."""
    text = str(error)
    # A path of ours: what a client writes may look like one too, but comes before it.
    found = _JSON_PATH.search(text)
    problem, path = (text[: found.start()], found[1]) if found else (text, "")
    name = f"{root}{path}".lstrip(".")
    if unknown := _UNKNOWN_FIELD.match(problem):
        problem = f"object contains {_describe_unknown_field(unknown[1])}"
    elif problem.startswith("Invalid enum value"):
        problem = _describe_choices(tuple(Conflict)) if path.endswith(".conflict") else "invalid value"
    for pattern, replacement in _MESSAGE_REWRITES:
        problem = pattern.sub(replacement, problem)
    message = problem[:1].lower() + problem[1:].replace("`", "")
    return InvalidParameterError(name or "body", message[:MAX_PROBLEM_CHARACTERS])


def redact_parameter_name(name: str) -> str:
    """What may be said of the name of a parameter that nobody knows."""
    return name if _PRINTABLE_NAME.fullmatch(name) else _REDACTED_NAME


def _describe_unknown_field(name: str) -> str:
    shown = redact_parameter_name(name)
    return f"an unknown field with {shown}" if shown == _REDACTED_NAME else f"unknown field {shown}"


Q = TypeVar("Q", bound=msgspec.Struct)


class QueryDecoder(Generic[Q]):
    """Reads query strings into one kind of struct."""

    def __init__(self, type: type[Q]) -> None:
        self.type = type
        fields = msgspec.structs.fields(type)
        self._names = tuple(field.name for field in fields)
        kinds = {field.name: _member_types(field.type) for field in fields}
        self._lists = frozenset(name for name, kind in kinds.items() if _accepts_list(kind))
        self._integers = frozenset(name for name, kind in kinds.items() if _accepts_integer(kind))
        self._choices = {name: choices for name, kind in kinds.items() if (choices := _allowed_values(kind))}

    def decode(self, query: Query) -> Q:
        """The struct that a query means.

        Raises:
            InvalidParameterError: a parameter is unknown, repeated, missing or not as it must be.
        """
        values: dict[str, str | int | list[str | int]] = {}
        for name, text in query.values.items():
            value = self._value(name, text)
            values[name] = [value] if name in self._lists else value
        for name, texts in query.repeated.items():
            if name not in self._lists:
                raise InvalidParameterError(redact_parameter_name(name), f"given more than once{self._encoding_hint()}")
            values[name] = [self._value(name, text) for text in (query.values[name], *texts)]
        try:
            return msgspec.convert(values, self.type)
        except msgspec.ValidationError as error:
            raise describe_validation_error(error) from None

    def _value(self, name: str, text: str) -> str | int:
        if name not in self._names:
            raise InvalidParameterError(
                redact_parameter_name(name),
                f"unknown parameter; known are {', '.join(self._names)}{self._encoding_hint()}",
            )
        try:
            # A URL holds no space, and a plus in it is meant: it must reach the origin as it is.
            value = decode_percent(text) if name == "download" else decode_form(text)
        except UnicodeDecodeError:
            raise InvalidParameterError(name, "not UTF-8; percent-encode its UTF-8 bytes") from None
        if name in self._integers:
            return _parse_integer(name, value)
        if name in self._choices and value not in self._choices[name]:
            raise InvalidParameterError(name, _describe_choices(self._choices[name]))
        return value

    def _encoding_hint(self) -> str:
        if "download" not in self._names:
            return ""
        return "; if it belongs to the URL in download, percent-encode that URL"


def _member_types(annotation: object) -> tuple[inspect.Type, ...]:
    kind = inspect.type_info(annotation)
    kinds = kind.types if isinstance(kind, inspect.UnionType) else (kind,)
    return tuple(one.type if isinstance(one, inspect.Metadata) else one for one in kinds)


def _accepts_list(kinds: tuple[inspect.Type, ...]) -> bool:
    return any(isinstance(kind, inspect.ListType) for kind in kinds)


def _accepts_integer(kinds: tuple[inspect.Type, ...]) -> bool:
    return any(isinstance(kind, inspect.IntType) for kind in kinds)


def _allowed_values(kinds: tuple[inspect.Type, ...]) -> tuple[str, ...]:
    for kind in kinds:
        if isinstance(kind, inspect.EnumType):
            return tuple(str(member) for member in kind.cls)
        if isinstance(kind, inspect.LiteralType):
            return tuple(str(value) for value in kind.values)
    return ()


def _describe_choices(choices: tuple[str, ...]) -> str:
    return f"expected one of {', '.join(choices)}"


def _parse_integer(name: str, text: str) -> int:
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) < 20):
        raise InvalidParameterError(name, "expected an integer in decimal digits")
    return int(text)


def _active_fields(snapshot: Snapshot) -> dict[str, Any]:
    row = snapshot.download
    return {
        "id": row.id,
        "filename": row.filename,
        "file_path": row.file_path,
        "directory": row.request.directory,
        "url": row.request.redacted_url,
        "status": row.state,
        "current_size": row.progress.received,
        "expected_size": row.progress.total,
        "progress_percentage": compute_percentage(row.progress.received, row.progress.total),
        "start_time": row.start_time,
        "speed": None if snapshot.speed is None else round(snapshot.speed),
        "eta": None if snapshot.eta is None or not math.isfinite(snapshot.eta) else math.ceil(snapshot.eta),
        "attempt": row.progress.attempt,
        "priority": row.control.priority,
        "speed_limit": row.control.speed_limit,
        "error": row.result.error,
        "reason": snapshot.reason,
        "detail": row.result.detail,
        "operation": UNSET if row.request.operation is None else row.request.operation,
    }


def _history_fields(row: Download) -> dict[str, Any]:
    return {
        "id": row.id,
        "filename": row.filename,
        "file_path": row.file_path,
        "directory": row.request.directory,
        "url": row.request.redacted_url,
        "status": row.state,
        "total_bytes": row.progress.total if row.state is State.COMPLETED else None,
        "start_time": row.start_time,
        "end_time": row.start_time if row.result.end_time is None else row.result.end_time,
        "error": row.result.error,
        "checksum": row.result.checksum,
        "content_type": row.result.content_type,
        "user": row.user,
        "detail": row.result.detail,
        "operation": UNSET if row.request.operation is None else row.request.operation,
    }


def _reported_error(download: Download) -> ErrorCode:
    if download.result.error is not None:
        return download.result.error
    return ErrorCode.CANCELLED if download.state is State.CANCELLED else ErrorCode.INTERNAL_ERROR


_UNSUCCESSFUL_STATES: Final = frozenset({State.FAILED, State.CANCELLED})

_STATE_MESSAGES: Final = {
    State.COMPLETED: "Download completed",
    State.SKIPPED: "Download skipped",
    State.FAILED: "Download failed",
    State.CANCELLED: "Download cancelled",
}
