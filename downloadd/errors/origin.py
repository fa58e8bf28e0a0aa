"""Errors of an origin: the connection, the response, and the content that it sends.

Pure: no I/O and no clock.
"""

from enum import StrEnum

from downloadd.errors.base import DownloadError, Occasion


class DownloadTimeoutError(DownloadError, code="DOWNLOAD_TIMEOUT"):
    """Download that took longer than its `timeout` in seconds."""

    status = 504
    title = "Download timeout"
    description = "Download exceeded the configured timeout period"
    resolution = "Try again with longer timeout or check network connectivity"
    advice = "`timeout=0` in the request removes the limit. The received bytes are kept for `retry`."
    occasions = frozenset({Occasion.END})

    def __init__(self, timeout: float) -> None:
        super().__init__(
            f"the download did not finish within its timeout of {timeout:g} s (downloads.timeout is the default)"
        )
        self.timeout = timeout


class ProbeTimeoutError(DownloadTimeoutError):
    """Probe of a URL that took longer than `timeout` seconds; `has_started` is False if it waited for other probes."""

    def __init__(self, timeout: float, *, has_started: bool) -> None:
        super().__init__(timeout)
        cause = "the origin did not answer" if has_started else "other probes were running"
        self.detail = f"the probe ended after {timeout:g} s because {cause}"


class RemoteFileNotFoundError(DownloadError, code="REMOTE_FILE_NOT_FOUND"):
    """Response 404 or 410 (`origin_status`)."""

    status = 404
    title = "Remote file not found"
    description = "The URL returned 404 Not Found or 410 Gone"
    resolution = "Verify the URL is correct and the file exists"
    advice = "A signed link may have expired: `retry` the download with a new `url`; it continues from the kept bytes."
    occasions = frozenset({Occasion.END})
    concerns_source = True

    def __init__(self, origin_status: int) -> None:
        super().__init__(f"the origin answered {origin_status}")
        self.origin_status = origin_status


class NetworkErrorKind(StrEnum):
    """The point at which a connection failed."""

    NAME = "name"
    """The name of the origin could not be resolved."""
    CONNECT = "connect"
    """The connection was refused, or could not be made."""
    TIMEOUT = "timeout"
    """The connection, with proxy and TLS, could not be made in time."""
    TLS = "tls"
    """The connection ended during the TLS handshake."""
    NO_RESPONSE = "no_response"
    """The connection ended before the head of a response."""
    STALLED = "stalled"
    """The origin sent nothing for the stall timeout."""
    SLOW = "slow"
    """The origin sent fewer bytes a second than `min_speed`."""
    CUT = "cut"
    """The connection ended within the content."""
    PROTOCOL = "protocol"
    """The response is not valid HTTP, or the connection cannot be used for another reason."""


class NetworkError(DownloadError, code="NETWORK_ERROR"):
    """Connection that could not be made, broke, stalled or did not speak HTTP.

    Attributes:
        kind: the point at which the connection failed.
        origin: the origin of the connection, if redirects led to another one than that of the source.
        permanent: the cause does not pass (for example a certificate that is not trusted), so a retry is useless.
    """

    status = 502
    title = "Network error"
    description = "Failed to connect to remote server or download was interrupted"
    resolution = "Check network connectivity and try again"
    advice = (
        "`detail` has the reason of the last attempt: name, connection, TLS or a cut. The time of `timeout` or "
        "`downloads.retry_for` is over, or the attempts of `downloads.max_retries` are used up; `retry` starts again."
    )
    occasions = frozenset({Occasion.END})
    concerns_source = True

    def __init__(
        self,
        detail: str,
        *,
        kind: NetworkErrorKind = NetworkErrorKind.PROTOCOL,
        permanent: bool = False,
        invalidates_part: bool = False,
    ) -> None:
        super().__init__(detail)
        self.kind = kind
        self.origin: str | None = None
        self.permanent = permanent
        self.invalidates_part = invalidates_part

    @property
    def transient(self) -> bool:
        """True if the same request may succeed later."""
        return not self.permanent


class RemoteError(DownloadError, code="REMOTE_ERROR"):
    """Response with another status than success, or with content that cannot be the file.

    Attributes:
        origin_status: the status of the response.
        transient: true for a status that may pass (`is_transient_status`), and for a response that the caller declares
            transient because another host than the origin may have sent it.
    """

    status = 502
    title = "Remote error"
    description = "The remote server did not answer with success"
    resolution = "See the status in detail; check that the URL needs no sign-in, or try again later"
    advice = (
        "`detail` has the origin's status. 401 and 403 require credentials: `auth` or `headers` of the download, or "
        "`[[credentials]]`."
    )
    occasions = frozenset({Occasion.END})
    concerns_source = True
    # A probe of a URL passes the time on that the origin asks for.
    sends_retry_after = True

    def __init__(
        self, origin_status: int, explanation: str = "", *, retry_after: float | None = None, transient: bool = False
    ) -> None:
        detail = f"the origin answered {origin_status}"
        super().__init__(f"{detail}: {explanation}" if explanation else detail, retry_after=retry_after)
        self.origin_status: int = origin_status
        self._transient = transient

    @property
    def transient(self) -> bool:
        """True if the same request may succeed later."""
        return self._transient or is_transient_status(self.origin_status, has_retry_after=self.retry_after is not None)


def is_transient_status(status: int, *, has_retry_after: bool) -> bool:
    """Return True if the same request may succeed later by the class of its status (RFC 9110, section 15).

    An origin that does not implement the request (501) or its HTTP version (505) will not do so later. 202 and 403 are
    transient if the origin says when to try again: a file that is being made, and a limit on requests.
    """
    if status in {202, 403}:
        return has_retry_after
    return status in {408, 421, 425, 429} or (500 <= status <= 599 and status not in {501, 505})


class UnchangedError(DownloadError, code="UNCHANGED"):
    """Representation that the origin has not changed since an earlier download (304): nothing is saved."""

    status = 409
    title = "Unchanged"
    description = "The remote server has no other version than the last run of the schedule has saved"
    resolution = "Nothing is to be done; the file of the earlier download is the current one"
    advice = (
        "The download is `skipped`. A [schedule](../how-to/schedules.md) asks with the validators of its last complete "
        "run (`If-None-Match`, `If-Modified-Since`), and the origin answers 304."
    )
    occasions = frozenset[Occasion]()

    def __init__(self) -> None:
        super().__init__("the origin has no other version than the last completed run (304)")


class TooManyRedirectsError(DownloadError, code="TOO_MANY_REDIRECTS"):
    """More than `limit` redirects."""

    status = 502
    title = "Too many redirects"
    description = "The remote server redirected more often than allowed, or in a circle"
    resolution = "Use the URL that the redirects lead to, or tell the remote server's administrator"
    advice = "The cause is often a login page that redirects to itself: the origin requires credentials."
    occasions = frozenset({Occasion.END})
    concerns_source = True

    def __init__(self, limit: int) -> None:
        super().__init__(f"the origin redirected more than {limit} times")
        self.limit = limit


class FileTooLargeError(DownloadError, code="FILE_TOO_LARGE"):
    """Representation of more than `limit` bytes."""

    status = 413
    title = "File too large"
    description = "The remote file is larger than the server or its disk allows"
    resolution = "Contact administrator to raise max_size, or to store such files on another file system"
    advice = (
        "The limit is `downloads.max_size`, or that of the disk, which `detail` says: FAT32 holds files of less than "
        "4 GiB, and the limit of the process (`ulimit -f`, RLIMIT_FSIZE) may be lower still."
    )
    occasions = frozenset({Occasion.END})

    def __init__(self, limit: int) -> None:
        super().__init__(f"the file is larger than the limit of {limit} bytes (downloads.max_size)")
        self.limit = limit


class ChecksumMismatchError(DownloadError, code="CHECKSUM_MISMATCH"):
    """Checksum of the received bytes (`actual`) that is not the `expected` one; both as `<algorithm>=<hex>`.

    `source` is the field in which the origin sent the expected one; None if a user expects it.
    """

    status = 422
    title = "Checksum mismatch"
    description = "The downloaded bytes do not have the expected checksum"
    resolution = "Verify the checksum belongs to this file and version, then try again"
    advice = "`detail` has the checksum of the received bytes. No file is kept."
    occasions = frozenset({Occasion.END})
    invalidates_part = True

    def __init__(self, expected: str, actual: str, *, source: str | None = None) -> None:
        claim = "expected" if source is None else f"the origin's {source} says"
        super().__init__(f"{claim} {expected}, received {actual}")
        self.expected = expected
        self.actual = actual
        self.source = source


class UnexpectedContentError(DownloadError, code="UNEXPECTED_CONTENT"):
    """Content that is not the described file; `problem` says what was received, `hint` what to do about it."""

    status = 502
    title = "Unexpected content"
    description = "The content is not the file that the request or the import describes; it may be a login page"
    resolution = "Renew the link, configure credentials for the host, or correct the expected type"
    advice = "Open the URL in a browser: often the origin sends a login or error page."
    occasions = frozenset({Occasion.END})

    def __init__(self, problem: str, *, hint: str = "the link's token may be missing or expired") -> None:
        super().__init__(f"{problem}; {hint}")
