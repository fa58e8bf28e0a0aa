"""The download request: one set of fields for a query, a batch item, an import and any other interface.

Each field has its type, limits, default and description here; the query and body schemas, the OpenAPI document, the
options of `downloadctl add` and the conversion to a `DownloadRequest` are made from them. Pure: no I/O and no clock.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, TypedDict

import msgspec
from msgspec import Meta

from downloadd.download import Condition, Conflict
from downloadd.errors import DownloadError
from downloadd.request_fields import Credentials, Method

MAX_SOURCES: Final = 16
"""URLs that one download may be fetched from."""

BYTES_PER_SECOND: Final = {"unit": "bytes/s"}
SECONDS: Final = {"unit": "seconds"}

Priority = Annotated[int, Meta(ge=-1_000_000, le=1_000_000, description="Higher starts first.")]
SpeedLimit = Annotated[int, Meta(ge=0, le=2**62, description="Bytes a second; 0 for no limit.", extra=BYTES_PER_SECOND)]

MaxRetries = Annotated[
    int,
    Meta(
        ge=0,
        le=1000,
        description="Failed attempts in a row that are followed by another one, those of a host that cannot be reached "
        "included; 0 fails at the first error.",
    ),
]
RetryWait = Annotated[int, Meta(ge=0, le=86_400, description="Seconds between two attempts at least.", extra=SECONDS)]
StallTimeout = Annotated[
    float,
    Meta(ge=0, le=86_400, description="Seconds without a byte that end an attempt; 0 for no limit.", extra=SECONDS),
]
ConnectTimeout = Annotated[
    float, Meta(ge=0, le=86_400, description="Seconds to connect to an origin; 0 for no limit.", extra=SECONDS)
]
MinSpeed = Annotated[
    int,
    Meta(
        ge=0,
        le=2**62,
        description="Bytes a second; an attempt that receives less on average over 60 seconds fails. 0 for no limit.",
        extra=BYTES_PER_SECOND,
    ),
]


NotBefore = Annotated[
    str | float,
    Meta(
        description="Time before which it does not start: ISO 8601 with a time zone, such as "
        "`2026-12-24T18:00:00+01:00`, or Unix time in seconds."
    ),
]


class StartParameters(msgspec.Struct, frozen=True, kw_only=True):
    """The parameters that every interface takes. None stands for the configured default.

    `StartOptions` repeats the names, because type checkers cannot derive keyword arguments from a struct.
    """

    filename: (
        Annotated[str, Meta(description="Name of the file instead of the origin's, at most 255 bytes.")] | None
    ) = None
    timeout: (
        Annotated[
            int,
            Meta(
                ge=0,
                le=31_536_000,
                description="Seconds in all that the download may take; 0 for no limit.",
                extra=SECONDS,
            ),
        ]
        | None
    ) = None
    segments: Annotated[int, Meta(ge=1, le=16, description="Parallel connections.")] | None = None
    checksum: (
        Annotated[
            str,
            Meta(
                description="Checksum that the file must have: `<algorithm>=<hex>`; the algorithm is sha-256, sha-512, "
                "sha-384, sha-1 or md5."
            ),
        ]
        | None
    ) = None
    type: (
        Annotated[
            str,
            Meta(
                description="Media type that the file must have, such as `application/zip` or `image/*`; `file` for "
                "any but a web page."
            ),
        ]
        | None
    ) = None
    conflict: Annotated[Conflict, Meta(description="Action if the name exists.")] | None = None
    skip_same: (
        Annotated[
            bool,
            Meta(description="Keep the file that has the name if its content is the same; else `conflict` holds."),
        ]
        | None
    ) = None
    priority: Priority = 0
    speed_limit: SpeedLimit = 0
    max_retries: MaxRetries | None = None
    retry_wait: RetryWait | None = None
    stall_timeout: StallTimeout | None = None
    connect_timeout: ConnectTimeout | None = None
    min_speed: MinSpeed | None = None
    not_before: NotBefore | None = None
    paused: Annotated[bool, Meta(description="Accept it paused, to be resumed later.")] = False


class StartOptions(TypedDict, total=False):
    """The same parameters as keyword arguments."""

    filename: str | None
    timeout: int | None
    segments: int | None
    checksum: str | None
    type: str | None
    conflict: str | None
    skip_same: bool | None
    priority: int | None
    speed_limit: int | None
    max_retries: int | None
    retry_wait: int | None
    stall_timeout: float | None
    connect_timeout: float | None
    min_speed: int | None
    not_before: str | float | None
    paused: bool | None


class ChangeOptions(TypedDict, total=False):
    """The parameters that can be changed later, as keyword arguments."""

    priority: int | None
    speed_limit: int | None
    url: str | None
    mirrors: Sequence[str] | None
    filename: str | None
    directory: str | None
    conflict: str | None
    checksum: str | None
    segments: int | None
    max_retries: int | None
    retry_wait: int | None
    stall_timeout: float | None
    connect_timeout: float | None
    min_speed: int | None
    not_before: str | float | None
    headers: Mapping[str, str] | None
    cookies: Mapping[str, str] | None
    referer: str | None
    user_agent: str | None
    auth: Credentials | Mapping[str, str] | None
    proxy: str | None
    method: str | None
    body: str | None


class RequestFieldParameters(StartParameters, frozen=True, kw_only=True):
    """The parameters that may be secrets, which belong in no URL: request fields; their strings are unchecked."""

    headers: Annotated[dict[str, str], Meta(description="Header fields of the requests, by name.")] = {}
    cookies: Annotated[dict[str, str], Meta(description="Cookies of the requests, by name.")] = {}
    referer: Annotated[str, Meta(description="Value of the header field Referer: the URL of a page.")] | None = None
    user_agent: (
        Annotated[str, Meta(description="Value of the header field User-Agent instead of the daemon's.")] | None
    ) = None
    # A schema that refers to another one has no description of its own.
    auth: Annotated[Credentials | None, Meta(description="User and password for the origin.")] = None
    proxy: Annotated[str, Meta(description="Name of one of the configured proxies.")] | None = None
    method: Annotated[Method, Meta(description="Method of the requests.")] = Method.GET
    body: Annotated[str, Meta(description="Body of the requests, with the method POST; sent as UTF-8.")] | None = None

    def __repr__(self) -> str:
        """Return the name of the type only, so that no log or traceback shows a secret."""
        return f"{type(self).__name__}(...)"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """Return nothing."""
        return []


class DownloadItem(RequestFieldParameters, frozen=True, kw_only=True):
    """All that a client may state of one download in a request with several."""

    url: Annotated[str, Meta(description="URL to download from.")]
    mirrors: Annotated[Sequence[str], Meta(max_length=MAX_SOURCES - 1, description="Other URLs of the same file.")] = ()
    directory: Annotated[str, Meta(description="Destination below the storage root; empty for the root itself.")] = ""
    position: (
        Annotated[
            int,
            Meta(
                ge=0,
                description="Index among the queued and paused downloads, 0 for the first; it takes the priority that "
                "stands there. From 10000 on, and by default, it is the last of its priority.",
            ),
        ]
        | None
    ) = None


class DownloadRequest(DownloadItem, frozen=True, kw_only=True):
    """One requested download; its strings are unchecked."""

    directory: str
    """Destination below the storage root; the code always states it."""
    size: int | None = None
    """Known size of the file in bytes."""
    operation: str | None = None
    """Id of the import operation that the download belongs to."""
    id: str | None = None
    """Id of the download; None for a new one."""
    gid: str | None = None
    """Gid of the download; None for the one that is made of its number."""
    requires_gid: bool = True
    """False to start with the one that is made of its number if another download has `gid`."""
    condition: Condition | None = None
    """Validators of an earlier download of the URL: without another version, the download is skipped."""
    alternatives: "tuple[ConditionalRequest, ...]" = ()
    """What the request is if the response of the origin meets conditions; the first ones that it meets decide."""
    problem: DownloadError | None = None
    """Error in the request itself; the download is refused with it."""


class ConditionalRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request as a rule completes it if the response of the origin meets the conditions of the rule."""

    rule: str
    types: tuple[str, ...]
    min_size: int
    """Bytes; 0 for no limit."""
    max_size: int
    """Bytes; 0 for no limit."""
    request: DownloadRequest


def make_download_request(parameters: StartParameters, **values: Any) -> DownloadRequest:
    """Return a request with the fields of `parameters` that it shares with `DownloadRequest`, replaced by `values`."""
    shared = {
        name: getattr(parameters, name)
        for name in parameters.__struct_fields__
        if name in DownloadRequest.__struct_fields__
    }
    return DownloadRequest(**{**shared, **values})
