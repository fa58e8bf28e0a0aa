"""The download: what was asked for, and how far it has come. The noun that every room shares.

Pure: no I/O and no clock.
"""

from enum import StrEnum

import msgspec

from downloadd.errors import ErrorCode
from downloadd.states import State


class Conflict(StrEnum):
    """What to do when the final name is taken (the API's `conflict`)."""

    RENAME = "rename"
    OVERWRITE = "overwrite"
    SKIP = "skip"
    ERROR = "error"


class Desired(StrEnum):
    """What a user wants of a download that runs; the run obeys it."""

    RUN = "run"
    PAUSE = "pause"
    CANCEL = "cancel"


class Mirror(msgspec.Struct, frozen=True, kw_only=True):
    """Another place where the same file can be had."""

    url: str
    """As given, secrets included: never shown."""
    host: str
    """Lower-case A-label host that `max_per_host` counts."""


class Promise(msgspec.Struct, frozen=True, kw_only=True):
    """What an origin says of the bytes of the whole representation."""

    source: str
    """The field that says so."""
    checksum: str
    """`<algorithm>=<lower-case hex>`."""


class Download(msgspec.Struct, frozen=True, kw_only=True):
    """One accepted or refused download, as it is written down.

    A change makes a new struct (`msgspec.structs.replace`). The fields under "what users may change" are written by
    `Records.amend` alone, all others by the run that holds the download, fenced by its `epoch`.
    """

    # identity
    id: str
    """A UUID in its usual spelling."""
    seq: int = 0
    """The order of acceptance; handed out by the records, 0 before."""
    user: str
    """Id of the user who asked."""

    # what was asked for
    url: str
    """The URL as given, byte for byte, secrets included: never shown, see `shown_url`."""
    shown_url: str
    """The URL without credentials, for answers, history, logs and events."""
    mirrors: tuple[Mirror, ...] = ()
    """Where else the file can be had, in the order given."""
    directory: str
    """Destination below the storage root: segments joined by `/`, no leading or trailing slash, "" for the root."""
    wanted_name: str | None = None
    """The `filename` parameter."""
    conflict: Conflict = Conflict.RENAME
    checksum_wanted: str | None = None
    """`<algorithm>=<lower-case hex>`."""
    size_wanted: int | None = None
    """Bytes that whoever named the file says it has."""
    type_wanted: str | None = None
    """Media type that whoever named the file says it is of."""
    operation: str | None = None
    """Id of the import operation that it belongs to."""
    request_id: str | None = None
    """Of the request that it was accepted by: ties its log lines to that of the request."""
    timeout: int
    """Seconds in all, waiting in the queue and pauses not counted; 0 for none."""
    segments: int = 1
    start_time: int
    """Unix time of acceptance."""

    # what users may change
    desired: Desired = Desired.RUN
    priority: int = 0
    """Higher first."""
    speed_limit: int = 0
    """Bytes a second; 0 for none."""

    # how far it has come
    host: str
    """Lower-case A-label host of the source that is asked first, a place of which the download waits for; empty for a
    refused URL."""
    turn: int = 0
    """Which source that is: 0 for `url`, then the mirrors."""
    state: State = State.QUEUED
    epoch: int = 0
    """Counts the runs; every write of a run is fenced by it."""
    filename: str
    """The best known final name; settled when the download has completed."""
    attempt: int = 0
    """Attempts so far, the running one included."""
    failures: int = 0
    """Failed attempts in a row that brought nothing new."""
    not_before: float | None = None
    """Unix time before which no new attempt may start."""
    time_spent: float = 0.0
    """Seconds of `timeout` used up by earlier runs and waits between attempts."""
    received: int = 0
    """Bytes in the part file that were on stable storage when the row was written; of a file that has completed, all
    of them."""
    received_ranges: str | None = None
    """Which bytes those are, as `ByteRanges` writes them; the part vouches for no others. None: the first ones, and
    for as long as the machine runs, the part vouches for whatever follows them."""
    moved: bool = False
    """The URL was changed since those bytes came: they go on only if its bytes prove to be the same."""
    total: int | None = None
    """Complete length of the representation in bytes, once the origin has said."""
    validator: str | None = None
    """The strong validator of the bytes in the part file, exactly as `If-Range` sends it (RFC 9110, section 13.1.5)."""
    coding: str | None = None
    """The content coding that those bytes came in (RFC 9110, section 8.4.1): one entity tag may stand for several."""
    found_at: str | None = None
    """Where redirects led to for them, as a digest; None: nowhere. An entity tag means nothing anywhere else."""
    promises: tuple[Promise, ...] = ()
    """What the origin has said of the representation that they belong to."""
    part_name: str | None = None
    """Name of the part file in `directory`, while there is one."""
    publishing: bool = False
    """The part is whole and verified, `filename` and `total` are final, and the rename is about to happen."""
    last_modified: int | None = None
    """Unix time of the representation's Last-Modified."""
    content_type: str | None = None
    checksum: str | None = None
    """`<algorithm>=<hex>` of the saved bytes, when computed."""
    error: ErrorCode | None = None
    """Why the last attempt, or the download, ended."""
    detail: str | None = None
    end_time: int | None = None
    """Unix time of the end, in history only."""
    ended_seq: int | None = None
    """The order of ending; handed out by the records."""

    @property
    def file_path(self) -> str:
        """Directory and name, relative to the storage root."""
        return join_path(self.directory, self.filename)


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """A download at one moment: the row with the live state of its run laid over it."""

    download: Download
    speed: float | None = None
    """Bytes a second over the last seconds; None while nothing is transferred."""
    eta: float | None = None
    """Seconds until the last byte at this speed; None when unknown."""
    reason: str | None = None
    """For `queued`, `retrying` and `paused`: what it waits for."""


def join_path(directory: str, filename: str) -> str:
    """The path of `filename` in `directory`, relative to the storage root ("" is the root itself)."""
    return f"{directory}/{filename}" if directory else filename


def ids_of(download: Download) -> dict[str, str]:
    """What ties a log line to a download, and to the request and the import that it was accepted by."""
    ids = {"download_id": download.id, "request_id": download.request_id, "operation": download.operation}
    return {name: id for name, id in ids.items() if id is not None}


def new_id(now: float, random: int) -> str:
    """A fresh download id: a UUID version 7 (RFC 9562, section 5.7).

    Ids that grow with time fill the pages of the store's index one after the other; random ones touch a page each.

    Args:
        now: Unix time.
        random: 74 random bits.
    """
    rand_a, rand_b = random >> 62 & 0xFFF, random & (1 << 62) - 1
    milliseconds = int(now * 1000) & (1 << 48) - 1
    # Not by uuid.UUID, which takes several times as long to write it.
    digits = f"{milliseconds << 80 | 7 << 76 | rand_a << 64 | 2 << 62 | rand_b:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def is_older(id: str, time: float) -> bool:
    """Whether an id of `new_id` was made before `time` (Unix time)."""
    return int(id[:8] + id[9:13], 16) < int(time * 1000)
