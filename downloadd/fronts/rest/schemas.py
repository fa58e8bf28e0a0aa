"""Structs of queries, bodies and answers: one definition gives validation, JSON and the OpenAPI document.

Pure: no I/O and no clock.
"""

from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from downloadd.download import ResumedBy
from downloadd.download_request import (
    MAX_SOURCES,
    DownloadItem,
    StartParameters,
)
from downloadd.errors import ErrorCode, NetworkErrorKind
from downloadd.manager.queue_report import OriginState
from downloadd.states import ACTIVE, FINISHED, State, WaitNotice

MAX_ITEMS: Final = 10_000
"""Downloads that one request may start or list."""

MAX_BODY_BYTES: Final = 16 * 1024 * 1024
"""Bytes of the longest request body."""

if TYPE_CHECKING:
    ActiveStatus = str
    FinishedStatus = str
else:
    # Type checkers cannot read a Literal that is made from a table.
    ActiveStatus = Literal[tuple(state.value for state in State if state in ACTIVE)]
    FinishedStatus = Literal[tuple(state.value for state in State if state in FINISHED)]

HistoryStatus = Annotated[FinishedStatus, Meta(description="Only downloads that ended in this state.")]
HistoryDirectory = Annotated[str, Meta(description="Only downloads to this directory; empty for the root itself.")]
HistorySearch = Annotated[str, Meta(description="Only downloads whose URL or file name contains this.")]
WaitSeconds = Annotated[int, Meta(ge=0, le=3600, description="Seconds to hold the answer until the download ends.")]
NewUrl = Annotated[str, Meta(description="Continue from this URL; the file must be the same.")]
ImportOperation = Annotated[str, Meta(description="Id of the import that it belongs to.")]
Cursor = Annotated[str, Meta(pattern="^[0-9]{1,18}$", description="Start of the page; taken from a Link header.")]
EndedBefore = Annotated[
    int, Meta(ge=0, description="Only downloads that ended earlier than this time, in Unix seconds.")
]
HasKeptPart = Annotated[bool, Meta(description="Only downloads whose part file is kept (`true`), or is not (`false`).")]
EmptyString = Annotated[str, Meta(max_length=0, description="Pass an empty string.")]
PageLimit = Annotated[int, Meta(ge=1, le=1000, description="Entries on a page.")]
UnixSeconds = Annotated[int, Meta(description="Unix seconds.")]
ResumeEvidence = Annotated[
    ResumedBy, Meta(description="Evidence under which it was resumed, or `reuse` for a copy; null if it was not.")
]
WarningText = Annotated[
    str, Meta(description="What to check though nothing failed: a web page in place of a file, unused mirrors.")
]
ErrorCause = Annotated[
    NetworkErrorKind,
    Meta(
        description="Point at which the connection failed: `name` (lookup), `connect`, `timeout` (connecting), `tls`, "
        "`no_response`, `stalled`, `slow` (below `min_speed`), `cut` or `protocol`; null for other errors."
    ),
]
OriginStatus = Annotated[int, Meta(description="HTTP status of the origin, if that is the error.")]
RedactedUrl = Annotated[str, Meta(description="Without credentials.")]


class StartQuery(StartParameters, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`GET /{directory}?download=`."""

    download: Annotated[
        list[str],
        Meta(
            min_length=1,
            max_length=MAX_SOURCES,
            description="URL to download from, percent-encoded; further values are mirrors of the same file.",
        ),
    ]
    wait: WaitSeconds | None = None


class ListingQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Query of both listings of active downloads."""

    limit: Annotated[int, Meta(ge=1, le=MAX_ITEMS, description="Entries on a page.")] = MAX_ITEMS
    status: Annotated[ActiveStatus, Meta(description="Only downloads in this state.")] | None = None
    cursor: Cursor | None = None


class DirectoryListingQuery(ListingQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`GET /{directory}?downloads=`."""

    downloads: EmptyString


class HistoryQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`GET /?download_history=`."""

    download_history: EmptyString
    limit: PageLimit = 100
    cursor: Cursor | None = None
    status: HistoryStatus | None = None
    directory: HistoryDirectory | None = None
    q: HistorySearch | None = None
    ended_before: EndedBefore | None = None
    kept: HasKeptPart | None = None


class HistoryRemovalQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`DELETE /?download_history=`: the filters of the listing."""

    download_history: EmptyString
    status: HistoryStatus | None = None
    directory: HistoryDirectory | None = None
    q: HistorySearch | None = None
    ended_before: EndedBefore | None = None
    kept: HasKeptPart | None = None


class CancelQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`DELETE /api/v1/downloads/{id}`."""

    only: (
        Annotated[
            Literal["active", "ended"],
            Meta(description="Refuse (409) to remove a download that has ended, or to cancel an active one."),
        ]
        | None
    ) = None
    file: Annotated[Literal["true", "false"], Meta(description="Remove the file of an ended download too.")] = "false"


class DirectoriesQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`GET /api/v1/directories`."""

    prefix: Annotated[str, Meta(description="Beginning of their paths, such as `Imports/20`.")] = ""
    limit: Annotated[int, Meta(ge=1, le=1000, description="Maximum number of directories.")] = 100


class HostsQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`GET /api/v1/hosts`."""

    limit: Annotated[int, Meta(ge=1, le=1000, description="Maximum number of origins.")] = 100


class BatchItem(DownloadItem, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One download of a batch."""


class BatchBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`POST /api/v1/downloads`."""

    downloads: Annotated[list[BatchItem], Meta(min_length=1, max_length=MAX_ITEMS)]


class UncheckedBatchBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Batch with unchecked items, to check them one by one after one has failed."""

    downloads: Annotated[list[Any], Meta(min_length=1, max_length=MAX_ITEMS)]


class RetryBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`POST /api/v1/downloads/{id}/retry`; a request without a body is one with no field."""

    url: NewUrl | UnsetType = UNSET


class StartResponse(msgspec.Struct, frozen=True, kw_only=True):
    """Result of one download request, accepted or refused."""

    download_id: str
    filename: str
    path: Annotated[str, Meta(description="Directory and file name, relative to the storage root.")]
    success: bool
    message: str
    error: ErrorCode | None
    detail: str | UnsetType = UNSET
    warning: WarningText | UnsetType = UNSET


class BatchResponse(msgspec.Struct, frozen=True, kw_only=True):
    """One result for each download of a batch, in order; `success` if all were accepted."""

    downloads: list[StartResponse]
    success: bool


class ActiveEntry(msgspec.Struct, frozen=True, kw_only=True):
    """An active download."""

    id: str
    filename: str
    file_path: str
    directory: str
    url: RedactedUrl
    status: State
    current_size: Annotated[int, Meta(ge=0, description="Received bytes.")]
    expected_size: Annotated[int, Meta(ge=0, description="Bytes in all; null until the origin states it.")] | None
    progress_percentage: Annotated[float, Meta(ge=0, le=100)] | None
    start_time: UnixSeconds
    speed: Annotated[int, Meta(ge=0, description="Bytes a second over the last seconds.")] | None
    eta: Annotated[int, Meta(ge=0, description="Seconds left at this speed.")] | None
    connections: Annotated[int, Meta(ge=0, description="Connections that receive now.")] = 0
    uploaded: (
        Annotated[
            int,
            Meta(ge=0, description="Bytes that the other machine has; left out unless the file is uploaded to one."),
        ]
        | UnsetType
    ) = UNSET
    attempt: Annotated[int, Meta(ge=0)]
    priority: Annotated[int, Meta(description="Higher starts first.")]
    place: Annotated[float, Meta(description="Among downloads of one priority, the one with the smaller starts first.")]
    speed_limit: Annotated[int, Meta(ge=0, description="Bytes a second; 0 for no limit.")]
    not_before: Annotated[float, Meta(description="Unix time before which it does not start.")] | UnsetType = UNSET
    error: Annotated[ErrorCode, Meta(description="Reason why the last attempt ended.")] | None
    reason: Annotated[str, Meta(description="Reason why it waits.")] | None
    wait: (
        Annotated[WaitNotice, Meta(description="The same for programs; left out unless it waits for the queue.")]
        | UnsetType
    ) = UNSET
    node: Annotated[str, Meta(description="Name of the node that runs it; null while none does.")] | None = None
    detail: str | None
    cause: ErrorCause | None = None
    origin_status: OriginStatus | None = None
    warning: WarningText | None = None
    resumed_by: ResumeEvidence | None = None
    operation: ImportOperation | UnsetType = UNSET


class HistoryEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A finished download."""

    id: str
    filename: str
    file_path: str
    directory: str
    url: RedactedUrl
    status: State
    total_bytes: Annotated[int, Meta(ge=0, description="Bytes of the file; null unless completed.")] | None
    start_time: UnixSeconds
    end_time: UnixSeconds
    error: ErrorCode | None
    checksum: Annotated[str, Meta(description="`<algorithm>=<hex>` of the saved bytes, when computed.")] | None
    content_type: str | None
    user: str
    detail: str | None
    cause: ErrorCause | None = None
    origin_status: OriginStatus | None = None
    warning: WarningText | None = None
    resumed_by: ResumeEvidence | None = None
    kept_bytes: Annotated[int, Meta(ge=0, description="Received bytes that a retry continues from.")] = 0
    operation: ImportOperation | UnsetType = UNSET


class ActiveEntryResponse(ActiveEntry, frozen=True, kw_only=True):
    """An active download after an action on it."""

    success: bool
    message: str


class HistoryEntryResponse(HistoryEntry, frozen=True, kw_only=True):
    """A finished download after an action on it."""

    success: bool
    message: str


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """Active downloads, oldest first."""

    downloads: list[ActiveEntry]


class History(msgspec.Struct, frozen=True, kw_only=True):
    """Finished downloads, newest first."""

    history: list[HistoryEntry]


class RemovalResponse(msgspec.Struct, frozen=True, kw_only=True):
    """Result of a removal from the history by a filter."""

    removed: Annotated[int, Meta(ge=0, description="Entries that are removed.")]
    refused: Annotated[int, Meta(ge=0, description="Entries in directories that the user may not use; they stay.")]
    success: bool
    message: str


class ProbeResponse(msgspec.Struct, frozen=True, kw_only=True):
    """Facts that a download of a URL would find."""

    url: Annotated[str, Meta(description="URL after redirects, without credentials.")]
    redirects: Annotated[int, Meta(ge=0, description="Number of redirects.")]
    filename: Annotated[str, Meta(description="Name that the file would get, if no other one has it.")]
    size: Annotated[int, Meta(ge=0, description="Bytes; null if the origin does not state it.")] | None
    content_type: str | None
    ranges: Annotated[bool, Meta(description="The origin sends ranges.")]
    etag: Annotated[str, Meta(description="Entity tag of the representation, as sent.")] | None
    last_modified: UnixSeconds | None
    checksum: Annotated[str, Meta(description="Digest that the origin states, `<algorithm>=<hex>`.")] | None
    resumable: Annotated[bool, Meta(description="A download that breaks off can continue.")]
    warning: Annotated[str, Meta(description="What to check before the start.")] | None
    success: bool


class Directories(msgspec.Struct, frozen=True, kw_only=True):
    """Directories below the storage root, sorted by name."""

    directories: list[str]


class HostEntry(msgspec.Struct, frozen=True, kw_only=True):
    """An origin that has waiting or running downloads, or is not healthy."""

    origin: Annotated[str, Meta(description="Scheme, host and port, such as `http://example.com:8080`.")]
    state: Annotated[
        OriginState,
        Meta(
            description="`open`: it could not be reached or fails, and one download at a time probes it; `probing`: a "
            "probe runs; `backoff`: it asked to wait; `slowed`: it refused connections beside others; else `healthy`."
        ),
    ]
    running: Annotated[int, Meta(description="Slots in use, those of segments included.")]
    waiting: Annotated[
        int,
        Meta(
            description="Downloads that wait for a slot, also if redirects lead them there, without those with a time "
            "of their own."
        ),
    ]
    slots: Annotated[int, Meta(description="`max_per_host`, or less while the origin refuses further connections.")]
    failures: Annotated[int, Meta(description="Times in a row that the host could not be reached.")]
    next_attempt: Annotated[int, Meta(description="Unix seconds before which nothing is requested.")] | None
    error: Annotated[str, Meta(description="The last failure since the last answer.")] | None


class Hosts(msgspec.Struct, frozen=True, kw_only=True):
    """Origins in use or in trouble: those in trouble first, then the busiest."""

    hosts: list[HostEntry]
    total: Annotated[int, Meta(description="Number of such origins, also of those that are left out.")]


class StorageResponse(msgspec.Struct, frozen=True, kw_only=True):
    """The storage root that is used from now on."""

    filesystem: Annotated[str, Meta(description="Type of the file system; empty if it is not known.")]
    device: Annotated[str, Meta(description="`<major>:<minor>`.")]
    success: bool
    message: str


class ErrorEntry(msgspec.Struct, frozen=True, kw_only=True):
    """Explanation of one error code."""

    code: ErrorCode
    status: Annotated[int, Meta(description="The HTTP status of an answer that reports it.")]
    title: str
    description: str
    resolution: Annotated[str, Meta(description="Action that resolves it.")]


class ErrorTable(msgspec.Struct, frozen=True, kw_only=True):
    """All error codes."""

    errors: list[ErrorEntry]


class ErrorResponse(msgspec.Struct, frozen=True, kw_only=True):
    """An error without a download of its own."""

    error: str
    success: bool = False
    detail: str | UnsetType = UNSET
    request_id: str | UnsetType = UNSET


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """The daemon answers."""

    status: str
    version: str
    storage: Annotated[str, Meta(description="`ok`, or the reason why no download starts.")] = "ok"
