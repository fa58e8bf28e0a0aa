"""The download: its request, control, progress and result. All packages share this noun.

Pure: no I/O and no clock.
"""

from enum import StrEnum
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from downloadd.attempt_options import NO_OPTIONS, AttemptOptions
from downloadd.errors import DownloadError, ErrorCode, NetworkError, NetworkErrorKind
from downloadd.gid import make_gid
from downloadd.request_fields import Method, RequestFields
from downloadd.states import FINISHED, State, WaitNotice


class Conflict(StrEnum):
    """Action when the final name is taken (`conflict` in the API)."""

    RENAME = "rename"
    OVERWRITE = "overwrite"
    SKIP = "skip"
    ERROR = "error"


class Desired(StrEnum):
    """Action that a user requests of a running download; its run applies it."""

    RUN = "run"
    PAUSE = "pause"
    CANCEL = "cancel"


class ResumedBy(StrEnum):
    """Evidence that the bytes of an earlier attempt belong to the rest of the file, the weakest that was needed."""

    VALIDATOR = "validator"
    """A strong validator of the origin (RFC 9110, section 8.8)."""
    DIGEST = "digest"
    """A digest of the whole file, which was verified at the end."""
    OVERLAP = "overlap"
    """The same length, no contradicting validator, and bytes that were received again and compared."""
    REUSE = "reuse"
    """A file of an earlier download of the same URL under the same strong validator, which was copied."""


class Mirror(msgspec.Struct, frozen=True, kw_only=True):
    """Another URL of the same file."""

    url: str
    """As given, with its secrets: never show it."""


class OriginDigest(msgspec.Struct, frozen=True, kw_only=True):
    """Digest of the whole representation, as an origin states it."""

    source: str
    """The field that states it."""
    checksum: str
    """`<algorithm>=<lower-case hex>`."""


class Condition(msgspec.Struct, frozen=True, kw_only=True):
    """Validators of an earlier download of a URL; the origin sends the representation only if it has another one."""

    entity_tag: str | None = None
    """As sent, weak or strong."""
    last_modified: int | None = None
    """Unix time."""


class PendingRule(msgspec.Struct, frozen=True, kw_only=True):
    """Rule whose conditions concern the response of the origin, and what it changes of the download if they are met.

    A value is UNSET if the rule does not change it, or if a user has stated it since.
    """

    name: str
    types: tuple[str, ...] = ()
    """Media types and ranges, one of which the origin must state; empty for any."""
    min_size: int = 0
    """Bytes that the file must have; 0 for any number. A file of unknown size does not meet a limit."""
    max_size: int = 0
    """Bytes that the file may have; 0 for any number."""
    directory: str | UnsetType = UNSET
    conflict: Conflict | UnsetType = UNSET
    priority: int | UnsetType = UNSET
    speed_limit: int | UnsetType = UNSET
    skip_same: bool | UnsetType = UNSET
    segments: int | UnsetType = UNSET
    max_retries: int | UnsetType | None = UNSET


class SupersededPart(msgspec.Struct, frozen=True, kw_only=True):
    """Part file that a transfer started over beside, with the fields of `Progress` that describe its bytes.

    It stays until the new part file has more bytes. Unlike `Progress.part_name`, it may name a file that is missing.
    """

    part_name: str
    received: int
    received_ranges: str | None = None
    total: int | None = None
    validator: str | None = None
    weak_tag: str | None = None
    coding: str | None = None
    final_url_digest: str | None = None
    origin_digests: tuple[OriginDigest, ...] = ()
    last_modified: int | None = None
    resumed_by: ResumedBy | None = None


# The store constructs thousands of downloads for one listing. So their parts are not keyword-only: passing values by
# position takes an eighth of the time; all other code passes keywords. And the garbage collector does not track them:
# they hold no containers but tuples of strings, so that they cannot be part of a reference cycle.


class Request(msgspec.Struct, frozen=True, gc=False):
    """The parameters of the request for a download."""

    url: str
    """The URL as given, byte for byte, with its secrets: never show it; see `redacted_url`."""
    redacted_url: str
    """The URL without credentials, for answers, history, logs and events."""
    directory: str
    """Destination below the storage root: segments joined by `/`, no leading or trailing slash, "" for the root."""
    timeout: int
    """Seconds in all, without the time in the queue and in pauses; 0 for none."""
    mirrors: tuple[Mirror, ...] = ()
    """Other URLs of the file, in the order given."""
    requested_name: str | None = None
    """The `filename` parameter."""
    conflict: Conflict = Conflict.RENAME
    requested_checksum: str | None = None
    """`<algorithm>=<lower-case hex>`."""
    expected_size: int | None = None
    """Size of the file in bytes, as the source of the request states it."""
    expected_type: str | None = None
    """Media type or range of the file, or `file`, as `parse_expected_type` returns it."""
    operation: str | None = None
    """Id of the import operation that the download belongs to."""
    segments: int = 1
    fields: RequestFields | None = None
    """The request fields, which are secrets: never show them."""
    gid: str | None = None
    """The gid that the request chose; see `Download.gid`."""
    attempt_options: AttemptOptions | None = None
    condition: Condition | None = None
    """What the origin must not have still; the download is skipped as unchanged if it does."""
    pending_rules: tuple[PendingRule, ...] = ()
    """Rules that the first usable response decides on, in their order; empty once that is recorded."""
    part_directory: str | None = None
    """Directory of the part files if it is another one: they stay where they were begun when `directory` changes."""
    skip_same: bool = False
    """Keep a file of the same name that has the same content, whatever `conflict` says."""

    @property
    def limits(self) -> AttemptOptions:
        """The limits of its attempts, each None if the configured one holds."""
        return self.attempt_options or NO_OPTIONS

    @property
    def method(self) -> Method:
        """Method of the requests to the origin."""
        return Method.GET if self.fields is None else self.fields.method


class Control(msgspec.Struct, frozen=True, gc=False):
    """The values that users may change while the download is active."""

    desired: Desired = Desired.RUN
    priority: int = 0
    """Higher first."""
    speed_limit: int = 0
    """Bytes a second; 0 for none."""
    place: float | None = None
    """Position that a move has given it among the downloads of its priority; see `Download.place`."""
    not_before: float | None = None
    """Unix time before which it does not start, as a user states it."""


class Progress(msgspec.Struct, frozen=True, gc=False):
    """The values that runs record, and that a fresh start resets."""

    origin: str
    """Origin of the source to ask first, such as `http://example.com:8080`; the download waits for a slot of it. Empty
    for a refused URL."""
    source: int = 0
    """Number of that source: 0 for `Request.url`, then the mirrors."""
    attempt: int = 0
    """Attempts so far, the running one included."""
    failures: int = 0
    """Consecutive failed attempts that received nothing new."""
    not_before: float | None = None
    """Unix time before which no new attempt may start."""
    retrying_since: float | None = None
    """Unix time of the first of the failed attempts in a row, or of the retry by a user; None before."""
    time_spent: float = 0.0
    """Seconds of `Request.timeout` that earlier runs and the waits between attempts have used."""
    received: int = 0
    """Bytes of the part file that were on stable storage when the row was written; for a completed file, all bytes."""
    received_ranges: str | None = None
    """The ranges of those bytes, in the format of `ByteRanges`; the part vouches for no others. None: the first bytes;
    until the machine restarts, the part vouches for the bytes after them too."""
    url_changed: bool = False
    """The URL was changed since those bytes were received: resume only if the new URL has the same bytes."""
    total: int | None = None
    """Complete length of the representation in bytes, once the origin has stated it."""
    validator: str | None = None
    """The strong validator of the bytes in the part file, exactly as `If-Range` sends it (RFC 9110, section 13.1.5)."""
    coding: str | None = None
    """The content coding of those bytes (RFC 9110, section 8.4.1): one entity tag may stand for several codings."""
    final_url_digest: str | None = None
    """Digest of the URL, without its query, that redirects led to for those bytes; None without redirects. The entity
    tag is valid for that URL only."""
    origin_digests: tuple[OriginDigest, ...] = ()
    """Digests that the origin has stated for the representation of those bytes."""
    part_name: str | None = None
    """Name of the part file in `Download.part_directory`, while it exists; of a failed download too."""
    publishing: bool = False
    """The part is complete and verified, `filename` and `total` are final, and the rename is next."""
    last_modified: int | None = None
    """Unix time of the representation's Last-Modified."""
    weak_tag: str | None = None
    """The weak entity tag of the bytes in the part file (RFC 9110, section 8.8.1), as sent."""
    resumed_by: ResumedBy | None = None
    """Evidence under which those bytes were continued; None if they are of one response."""
    superseded: SupersededPart | None = None
    """The part file that this one was started over beside, while it has more bytes."""
    strict_resume: bool = False
    """A file that was resumed without a strong validator failed its verification: resume under such a one only."""


class Result(msgspec.Struct, frozen=True, gc=False):
    """The outcome of the download, or of its last attempt."""

    content_type: str | None = None
    checksum: str | None = None
    """`<algorithm>=<hex>` of the saved bytes, when computed."""
    error: ErrorCode | None = None
    """Reason why the last attempt, or the download, ended."""
    detail: str | None = None
    """Sentence about the error."""
    cause: NetworkErrorKind | None = None
    """The point at which the connection failed, if the error is that of a connection."""
    origin_status: int | None = None
    """Status of the origin's response, if that is the error."""
    warning: str | None = None
    """Sentences about what the user should check though nothing failed: a web page in place of a file, sources that
    were not used."""
    file_identity: str | None = None
    """Identity of the published file, as `Part.file_identity` states it."""
    end_time: int | None = None
    """Unix time of the end, in history only."""
    ended_seq: int | None = None
    """Position in the order of ends; the store assigns it."""
    secrets_removed: bool = False
    """The URL had secrets, and `Request.url` lacks them since the end: a retry needs a new URL."""
    cleared: bool = False
    """A user has removed it from the list of results, which aria2 clients show; the history has it still."""
    resource: str | None = None
    """Digest of the URL that the published file can be recognised by, as `resource_of` states it; None if it cannot."""


class Download(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One accepted or refused download, as the store keeps it.

    Immutable: a change makes a new struct. `Records.amend` alone writes `request` and `control` of a stored download;
    the run that holds the download writes the rest, fenced by its `epoch`.
    """

    id: str
    """A UUID in its usual spelling."""
    seq: int = 0
    """Position in the order of acceptance; the store assigns it, 0 before."""
    user: str
    """Id of the user who requested it."""
    request_id: str | None = None
    """Id of the HTTP request that started it; connects the log lines of both."""
    start_time: int
    """Unix time of acceptance."""
    state: State = State.QUEUED
    epoch: int = 0
    """Number of runs so far; fences each write of a run."""
    filename: str
    """The best known final name; final when the download has completed."""
    request: Request
    control: Control = Control()
    progress: Progress
    result: Result = Result()

    @property
    def file_path(self) -> str:
        """Return directory and name, relative to the storage root."""
        return join_path(self.request.directory, self.filename)

    @property
    def gid(self) -> str:
        """Return the number by which aria2 clients name it: 16 lower-case hexadecimal digits."""
        return self.request.gid or make_gid(self.seq)

    @property
    def place(self) -> float:
        """Return the position among the downloads of its priority, which start in this order; at first its `seq`."""
        return self.seq if self.control.place is None else self.control.place

    @property
    def part_directory(self) -> str:
        """Return the directory of the part files."""
        return self.request.directory if self.request.part_directory is None else self.request.part_directory

    @property
    def kept_bytes(self) -> int:
        """Return the bytes of the part file that a retry of an ended download continues from; 0 while it is active."""
        return 0 if self.progress.part_name is None or self.state not in FINISHED else self.progress.received

    def with_request(self, **changes: Any) -> "Download":
        """Return the download with these fields of `request` changed."""
        return replace(self, request=replace(self.request, **changes))

    def with_control(self, **changes: Any) -> "Download":
        """Return the download with these fields of `control` changed."""
        return replace(self, control=replace(self.control, **changes))

    def with_progress(self, **changes: Any) -> "Download":
        """Return the download with these fields of `progress` changed."""
        return replace(self, progress=replace(self.progress, **changes))

    def with_result(self, **changes: Any) -> "Download":
        """Return the download with these fields of `result` changed."""
        return replace(self, result=replace(self.result, **changes))

    def with_error(self, error: DownloadError | None) -> "Download":
        """Return the download with this reason why the last attempt, or the download, ended; None for none."""
        return self.with_result(**error_fields(error))


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """A download at one moment: its row, with the live state of its run."""

    download: Download
    speed: float | None = None
    """Bytes a second over the last seconds; None while nothing is transferred."""
    eta: float | None = None
    """Seconds until the last byte at this speed; None if unknown."""
    reason: str | None = None
    """For `queued`, `retrying` and `paused`: the reason why it waits."""
    wait: WaitNotice | None = None
    """The same for programs; None if it does not wait for the queue."""
    connections: int = 0
    """Connections that receive content now."""
    uploaded: int | None = None
    """Bytes that another machine has of the file, while it is sent there; None otherwise."""
    node: str | None = None
    """Name of the node that runs it; None while none does."""
    current_url: str | None = None
    """The URL that redirects have led the present run to, with its secrets: never show it. None without redirects."""


def error_fields(error: DownloadError | None) -> dict[str, Any]:
    """Return the fields of `Result` that describe an error; None for none."""
    return {
        "error": None if error is None else error.code,
        "detail": None if error is None else error.detail,
        "cause": error.kind if isinstance(error, NetworkError) else None,
        "origin_status": None if error is None else error.origin_status,
    }


def join_path(directory: str, filename: str) -> str:
    """Return the path of `filename` in `directory`, relative to the storage root ("" is the root itself)."""
    return f"{directory}/{filename}" if directory else filename


def log_fields(download: Download) -> dict[str, str]:
    """Return the ids that connect a log line to a download, its HTTP request and its import."""
    ids = {"download_id": download.id, "request_id": download.request_id, "operation": download.request.operation}
    return {name: id for name, id in ids.items() if id is not None}


def new_id(now: float, random: int) -> str:
    """Return a new download id: a UUID version 7 (RFC 9562, section 5.7).

    Ids that grow with time fill the pages of the store's index one after the other; a random id touches a page each.

    Args:
        now: Unix time.
        random: 74 random bits.
    """
    rand_a, rand_b = random >> 62 & 0xFFF, random & (1 << 62) - 1
    milliseconds = int(now * 1000) & (1 << 48) - 1
    # uuid.UUID takes several times as long to format it.
    digits = f"{milliseconds << 80 | 7 << 76 | rand_a << 64 | 2 << 62 | rand_b:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def is_created_before(id: str, time: float) -> bool:
    """Return True if an id of `new_id` was made before `time` (Unix time)."""
    return int(id[:8] + id[9:13], 16) < int(time * 1000)
