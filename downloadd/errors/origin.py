"""Errors of an origin: the connection, the response, and the content that it sends.

Pure: no I/O and no clock.
"""

from typing import ClassVar

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
        super().__init__(f"the download did not finish within its timeout of {timeout:g} s")
        self.timeout = timeout


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


class NetworkError(DownloadError, code="NETWORK_ERROR"):
    """Connection that could not be made, broke, stalled or did not speak HTTP.

    Attributes:
        permanent: the cause does not pass (for example a certificate that is not trusted), so a retry is useless.
    """

    status = 502
    title = "Network error"
    description = "Failed to connect to remote server or download was interrupted"
    resolution = "Check network connectivity and try again"
    advice = (
        "`detail` has the reason of the last attempt: name, connection, TLS or a cut. All attempts of "
        "`downloads.max_retries` are used up; `retry` starts again."
    )
    occasions = frozenset({Occasion.END})
    concerns_source = True

    def __init__(self, detail: str, *, permanent: bool = False, invalidates_part: bool = False) -> None:
        super().__init__(detail)
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
        transient: true for a status of `TRANSIENT_STATUSES`, and for a response that the caller declares transient
            because another host than the origin may have sent it.
    """

    status = 502
    title = "Remote error"
    description = "The remote server did not answer with success"
    resolution = "See the status in detail; check that the URL needs no sign-in, or try again later"
    advice = "`detail` has the origin's status. 401 and 403 require credentials: see `[[credentials]]`."
    occasions = frozenset({Occasion.END})
    concerns_source = True
    TRANSIENT_STATUSES: ClassVar = frozenset({408, 429, 500, 502, 503, 504})

    def __init__(
        self, origin_status: int, explanation: str = "", *, retry_after: float | None = None, transient: bool = False
    ) -> None:
        detail = f"the origin answered {origin_status}"
        super().__init__(f"{detail}: {explanation}" if explanation else detail, retry_after=retry_after)
        self.origin_status = origin_status
        self._transient = transient

    @property
    def transient(self) -> bool:
        """True if the same request may succeed later."""
        return self._transient or self.origin_status in self.TRANSIENT_STATUSES


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
    description = "The remote file is larger than the server allows"
    resolution = "Contact administrator to raise max_size"
    advice = "The limit is `downloads.max_size`."
    occasions = frozenset({Occasion.END})

    def __init__(self, limit: int) -> None:
        super().__init__(f"the file is larger than the limit of {limit} bytes")
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
    """Content that is not the described file; `problem` says what was received."""

    status = 422
    title = "Unexpected content"
    description = "The content is not the file that the import describes; it may be a login page"
    resolution = "Renew the links by a fresh export, or configure credentials for the host"
    advice = "Open the URL in a browser: often the origin sends a login or error page."
    # Only files of an import are described by size and type.
    occasions = frozenset[Occasion]()

    def __init__(self, problem: str) -> None:
        super().__init__(f"{problem}; the link's token may be missing or expired")
