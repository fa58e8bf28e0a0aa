"""One table of error codes, and one exception type for each code that a part can raise.

The table gives every code its HTTP status, title, description and resolution; the API, the OpenAPI document and the
docs are made from it. An exception carries the facts of one case as fields and makes the one sentence of `detail`
from them.

Pure: no I/O and no clock.
"""

from enum import StrEnum
from typing import ClassVar, Final

import msgspec


class ErrorCode(StrEnum):
    """What went wrong, for programs."""

    INVALID_URL = "INVALID_URL"
    DOMAIN_BLOCKED = "DOMAIN_BLOCKED"
    DOWNLOAD_TIMEOUT = "DOWNLOAD_TIMEOUT"
    REMOTE_FILE_NOT_FOUND = "REMOTE_FILE_NOT_FOUND"
    NETWORK_ERROR = "NETWORK_ERROR"
    DOWNLOAD_FORBIDDEN = "DOWNLOAD_FORBIDDEN"
    REMOTE_ERROR = "REMOTE_ERROR"
    TOO_MANY_REDIRECTS = "TOO_MANY_REDIRECTS"
    INVALID_PARAMETER = "INVALID_PARAMETER"
    INVALID_PATH = "INVALID_PATH"
    FILE_EXISTS = "FILE_EXISTS"
    FILE_TOO_LARGE = "FILE_TOO_LARGE"
    INSUFFICIENT_STORAGE = "INSUFFICIENT_STORAGE"
    STORAGE_ERROR = "STORAGE_ERROR"
    STORE_UNAVAILABLE = "STORE_UNAVAILABLE"
    CHECKSUM_MISMATCH = "CHECKSUM_MISMATCH"
    UNEXPECTED_CONTENT = "UNEXPECTED_CONTENT"
    QUEUE_FULL = "QUEUE_FULL"
    CANCELLED = "CANCELLED"
    NOT_FOUND = "NOT_FOUND"
    METHOD_NOT_ALLOWED = "METHOD_NOT_ALLOWED"
    INVALID_STATE = "INVALID_STATE"
    IDEMPOTENCY_KEY_REUSED = "IDEMPOTENCY_KEY_REUSED"
    BODY_TOO_LARGE = "BODY_TOO_LARGE"
    BODY_TOO_SLOW = "BODY_TOO_SLOW"
    SHUTTING_DOWN = "SHUTTING_DOWN"
    CROSS_SITE_REQUEST = "CROSS_SITE_REQUEST"
    HOST_NOT_ALLOWED = "HOST_NOT_ALLOWED"
    TOO_MANY_FAILED_LOGINS = "TOO_MANY_FAILED_LOGINS"
    HTTP_VERSION_NOT_SUPPORTED = "HTTP_VERSION_NOT_SUPPORTED"
    INTERNAL_ERROR = "INTERNAL_ERROR"


class ErrorInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the table, in the words of the seed's error tables."""

    code: ErrorCode
    status: int
    """The HTTP status of an answer that reports this error."""
    title: str
    description: str
    resolution: str


_ROWS: Final = (
    ErrorInfo(
        code=ErrorCode.INVALID_URL,
        status=400,
        title="Invalid URL",
        description="The provided URL is malformed or invalid",
        resolution="Verify URL format is correct and includes protocol (http:// or https://)",
    ),
    ErrorInfo(
        code=ErrorCode.DOMAIN_BLOCKED,
        status=403,
        title="Domain not allowed",
        description="This domain is blocked by server's download domain restrictions",
        resolution="Contact administrator to whitelist this domain or use allowed domains",
    ),
    ErrorInfo(
        code=ErrorCode.DOWNLOAD_TIMEOUT,
        status=504,
        title="Download timeout",
        description="Download exceeded the configured timeout period",
        resolution="Try again with longer timeout or check network connectivity",
    ),
    ErrorInfo(
        code=ErrorCode.REMOTE_FILE_NOT_FOUND,
        status=404,
        title="Remote file not found",
        description="The URL returned 404 Not Found or 410 Gone",
        resolution="Verify the URL is correct and the file exists",
    ),
    ErrorInfo(
        code=ErrorCode.NETWORK_ERROR,
        status=502,
        title="Network error",
        description="Failed to connect to remote server or download was interrupted",
        resolution="Check network connectivity and try again",
    ),
    ErrorInfo(
        code=ErrorCode.DOWNLOAD_FORBIDDEN,
        status=403,
        title="Download operation not allowed",
        description="Server is not configured to allow downloading from URLs",
        resolution="Contact administrator to enable --allow-download flag",
    ),
    ErrorInfo(
        code=ErrorCode.REMOTE_ERROR,
        status=502,
        title="Remote error",
        description="The remote server answered with something that is no success",
        resolution="See the status in detail; check that the URL needs no sign-in, or try again later",
    ),
    ErrorInfo(
        code=ErrorCode.TOO_MANY_REDIRECTS,
        status=502,
        title="Too many redirects",
        description="The remote server redirected more often than allowed, or in a circle",
        resolution="Use the URL that the redirects lead to, or tell the remote server's administrator",
    ),
    ErrorInfo(
        code=ErrorCode.INVALID_PARAMETER,
        status=400,
        title="Invalid parameter",
        description="A query parameter, header or body field is unknown, out of range or of the wrong type",
        resolution="Correct the value that detail names; percent-encode a URL given as a value",
    ),
    ErrorInfo(
        code=ErrorCode.INVALID_PATH,
        status=400,
        title="Invalid path",
        description="The directory or filename would leave the storage root, is reserved or not representable",
        resolution="Use a relative directory and a plain file name of at most 255 bytes",
    ),
    ErrorInfo(
        code=ErrorCode.FILE_EXISTS,
        status=409,
        title="File exists",
        description="A file of that name exists and the download was asked not to touch it",
        resolution="Choose another filename, or conflict=rename, overwrite or skip",
    ),
    ErrorInfo(
        code=ErrorCode.FILE_TOO_LARGE,
        status=413,
        title="File too large",
        description="The remote file is larger than the server allows",
        resolution="Contact administrator to raise max_size",
    ),
    ErrorInfo(
        code=ErrorCode.INSUFFICIENT_STORAGE,
        status=507,
        title="Insufficient storage",
        description="The disk is full, or free space would fall under the configured reserve",
        resolution="Free disk space, or contact administrator to lower min_free",
    ),
    ErrorInfo(
        code=ErrorCode.STORAGE_ERROR,
        status=500,
        title="Storage error",
        description="The server could not write to its storage directory",
        resolution="Contact administrator to check the storage directory's permissions and health",
    ),
    ErrorInfo(
        code=ErrorCode.STORE_UNAVAILABLE,
        status=503,
        title="Store unavailable",
        description="The server's records cannot be used at the moment; nothing was changed",
        resolution="Try again after the time in the Retry-After header",
    ),
    ErrorInfo(
        code=ErrorCode.CHECKSUM_MISMATCH,
        status=422,
        title="Checksum mismatch",
        description="The downloaded bytes are not those that were asked for",
        resolution="Verify the checksum belongs to this file and version, then try again",
    ),
    ErrorInfo(
        code=ErrorCode.UNEXPECTED_CONTENT,
        status=422,
        title="Unexpected content",
        description="What the remote server sent is not the file that the import describes, perhaps a page to sign in",
        resolution="Renew the links by a fresh export, or configure credentials for the host",
    ),
    ErrorInfo(
        code=ErrorCode.QUEUE_FULL,
        status=429,
        title="Queue full",
        description="Too many downloads are waiting",
        resolution="Try again after the time in the Retry-After header",
    ),
    ErrorInfo(
        code=ErrorCode.CANCELLED,
        status=409,
        title="Cancelled",
        description="A user cancelled the download",
        resolution="Retry the download if it is wanted after all",
    ),
    ErrorInfo(
        code=ErrorCode.NOT_FOUND,
        status=404,
        title="Not found",
        description="Nothing lives at this path, or no download has this id",
        resolution="Check the path and the id; GET /api/v1/openapi.json lists every path",
    ),
    ErrorInfo(
        code=ErrorCode.METHOD_NOT_ALLOWED,
        status=405,
        title="Method not allowed",
        description="The path exists, but not for this method",
        resolution="Use a method that the Allow header names",
    ),
    ErrorInfo(
        code=ErrorCode.INVALID_STATE,
        status=409,
        title="Invalid state",
        description="The download's state does not allow this action",
        resolution="Read the download's status; detail says which states allow the action",
    ),
    ErrorInfo(
        code=ErrorCode.IDEMPOTENCY_KEY_REUSED,
        status=422,
        title="Idempotency key reused",
        description="This Idempotency-Key was used for a different request within 24 hours",
        resolution="Use a new key for a new request",
    ),
    ErrorInfo(
        code=ErrorCode.BODY_TOO_LARGE,
        status=413,
        title="Body too large",
        description="The request body is over the limit",
        resolution="Split the request into several smaller ones",
    ),
    ErrorInfo(
        code=ErrorCode.BODY_TOO_SLOW,
        status=408,
        title="Body too slow",
        description="The request body did not come, or came too slowly",
        resolution="Send the body at once; check what lies between client and server",
    ),
    ErrorInfo(
        code=ErrorCode.SHUTTING_DOWN,
        status=503,
        title="Shutting down",
        description="The server is stopping and accepts nothing new",
        resolution="Try again in a few seconds",
    ),
    ErrorInfo(
        code=ErrorCode.CROSS_SITE_REQUEST,
        status=403,
        title="Request from another site",
        description="A page of another web site sent the request from somebody's browser",
        resolution="Use the server's own page, or a program such as curl",
    ),
    ErrorInfo(
        code=ErrorCode.HOST_NOT_ALLOWED,
        status=421,
        title="Host not allowed",
        description="The Host field of the request names somebody else than this server",
        resolution="Call the server by its address, or let the administrator add the name to server.allowed_hosts",
    ),
    ErrorInfo(
        code=ErrorCode.TOO_MANY_FAILED_LOGINS,
        status=429,
        title="Too many failed logins",
        description="Wrong credentials came from this address too often",
        resolution="Wait as long as Retry-After says, and check the token",
    ),
    ErrorInfo(
        code=ErrorCode.HTTP_VERSION_NOT_SUPPORTED,
        status=505,
        title="HTTP version not supported",
        description="The request is made in another major version of HTTP than 1",
        resolution="Use HTTP/1.1, or a proxy in front that translates",
    ),
    ErrorInfo(
        code=ErrorCode.INTERNAL_ERROR,
        status=500,
        title="Internal error",
        description="The server made a mistake; its log has the details",
        resolution="Report the request id with the server's log",
    ),
)

ERRORS: Final[dict[ErrorCode, ErrorInfo]] = {row.code: row for row in _ROWS}
"""The table: every code has exactly one row."""


class DownloadError(Exception):
    """What every error with a code derives from; `detail` is one human sentence about this case.

    Attributes:
        code: the row of the table.
        detail: what happened here and, where it helps, what to do. Never holds a secret.
        retry_after: seconds that the other side asks to wait, when it does.
    """

    code: ClassVar[ErrorCode]

    def __init__(self, detail: str, *, retry_after: float | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.retry_after = retry_after

    @property
    def info(self) -> ErrorInfo:
        """The row of the table."""
        return ERRORS[self.code]

    @property
    def transient(self) -> bool:
        """Whether the same request may well succeed later."""
        return False


class InvalidUrlError(DownloadError):
    """The URL is malformed, or neither http nor https."""

    code = ErrorCode.INVALID_URL


class DomainBlockedError(DownloadError):
    """The policy forbids the host or the address it resolves to."""

    code = ErrorCode.DOMAIN_BLOCKED


class DownloadTimeoutError(DownloadError):
    """The download took longer than its `timeout` (seconds)."""

    code = ErrorCode.DOWNLOAD_TIMEOUT

    def __init__(self, timeout: float) -> None:
        super().__init__(f"the download did not end within its timeout of {timeout:g} s")
        self.timeout = timeout


class RemoteFileNotFoundError(DownloadError):
    """The origin answered 404 or 410 (`status`)."""

    code = ErrorCode.REMOTE_FILE_NOT_FOUND

    def __init__(self, status: int) -> None:
        super().__init__(f"the origin answered {status}")
        self.status = status


class NetworkError(DownloadError):
    """No connection, or one that broke, stalled or did not speak HTTP.

    Attributes:
        permanent: the cause will not go away by itself (a certificate that is not trusted, say), so a retry is vain.
        invalidates_part: what has come is not to be believed either, and no attempt goes on from it.
    """

    code = ErrorCode.NETWORK_ERROR

    def __init__(self, detail: str, *, permanent: bool = False, invalidates_part: bool = False) -> None:
        super().__init__(detail)
        self.permanent = permanent
        self.invalidates_part = invalidates_part

    @property
    def transient(self) -> bool:
        """Whether the same request may well succeed later."""
        return not self.permanent


class RemoteError(DownloadError):
    """The origin answered with a `status` that is no success, or with content that cannot be the file.

    Attributes:
        status: the status of the response.
        transient: the response is transient whatever its status: another host than the origin may have sent it.
    """

    code = ErrorCode.REMOTE_ERROR
    TRANSIENT_STATUSES: ClassVar = frozenset({408, 429, 500, 502, 503, 504})

    def __init__(
        self, status: int, explanation: str = "", *, retry_after: float | None = None, transient: bool = False
    ) -> None:
        detail = f"the origin answered {status}"
        super().__init__(f"{detail}: {explanation}" if explanation else detail, retry_after=retry_after)
        self.status = status
        self._transient = transient

    @property
    def transient(self) -> bool:
        """Whether the same request may well succeed later."""
        return self._transient or self.status in self.TRANSIENT_STATUSES


class TooManyRedirectsError(DownloadError):
    """More than `limit` redirects."""

    code = ErrorCode.TOO_MANY_REDIRECTS

    def __init__(self, limit: int) -> None:
        super().__init__(f"the origin redirected more than {limit} times")
        self.limit = limit


ORIGIN_ERRORS: Final = (
    InvalidUrlError,
    DomainBlockedError,
    RemoteFileNotFoundError,
    NetworkError,
    RemoteError,
    TooManyRedirectsError,
)
"""What may be wrong with one origin and right with a mirror of it."""


class InvalidParameterError(DownloadError):
    """A query parameter, header or body field (`name`) is not as it must be."""

    code = ErrorCode.INVALID_PARAMETER

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(f"{name}: {problem}")
        self.name = name


class InvalidPathError(DownloadError):
    """The directory or filename cannot be used below the storage root."""

    code = ErrorCode.INVALID_PATH


class FileExistsAlreadyError(DownloadError):
    """The name (`path`, relative to the root) is taken, and `conflict=error` was asked for."""

    code = ErrorCode.FILE_EXISTS

    def __init__(self, path: str) -> None:
        super().__init__(f"{path} exists already, and conflict=error was asked for")
        self.path = path


class FileTooLargeError(DownloadError):
    """The representation is longer than `limit` bytes."""

    code = ErrorCode.FILE_TOO_LARGE

    def __init__(self, limit: int) -> None:
        super().__init__(f"the file is larger than the limit of {limit} bytes")
        self.limit = limit


class InsufficientStorageError(DownloadError):
    """The disk is full or would get too full.

    Attributes:
        permanent: no room that is made soon will do: the disk is smaller than what is needed, or a quota is used up.
    """

    code = ErrorCode.INSUFFICIENT_STORAGE

    def __init__(self, detail: str, *, permanent: bool = False) -> None:
        super().__init__(detail)
        self.permanent = permanent

    @property
    def transient(self) -> bool:
        """Whether the same request may well succeed later."""
        return not self.permanent


class StorageError(DownloadError):
    """The storage directory refused a write for another reason than space.

    Attributes:
        transient: what was in the way goes away by itself, or is not in the way of whoever begins anew.
    """

    code = ErrorCode.STORAGE_ERROR

    def __init__(self, detail: str, *, transient: bool = False) -> None:
        super().__init__(detail)
        self._transient = transient

    @property
    def transient(self) -> bool:
        """Whether the same request may well succeed later."""
        return self._transient


class StorageRootMissingError(StorageError):
    """The storage root does not lie at its path any more, or is another one than it was.

    While there is none, nothing can be kept, and it is nobody's fault: whoever needs it waits until it is back.
    """

    def __init__(self, detail: str) -> None:
        super().__init__(detail, transient=True)


class StoreUnavailableError(DownloadError):
    """The records are locked by another program, moved away, or refused by their disk; nothing was changed.

    It is trouble that passes, and not the fault of a download.
    """

    code = ErrorCode.STORE_UNAVAILABLE
    RETRY_AFTER: ClassVar = 5.0
    """Seconds that a client is asked to wait."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail, retry_after=self.RETRY_AFTER)

    @property
    def transient(self) -> bool:
        """Whether the same request may well succeed later."""
        return True


class ChecksumMismatchError(DownloadError):
    """The bytes have another digest (`actual`) than `expected`; both as `<algorithm>=<hex>`.

    `source` is the field in which the origin has promised it; None when a user has asked for it.
    """

    code = ErrorCode.CHECKSUM_MISMATCH

    def __init__(self, expected: str, actual: str, *, source: str | None = None) -> None:
        claim = "asked for" if source is None else f"the origin's {source} says"
        super().__init__(f"{claim} {expected}, received {actual}")
        self.expected = expected
        self.actual = actual
        self.source = source


class UnexpectedContentError(DownloadError):
    """The bytes are not the file that was described: `what` came instead."""

    code = ErrorCode.UNEXPECTED_CONTENT

    def __init__(self, what: str) -> None:
        super().__init__(f"{what}; perhaps the link's token is missing or too old")


class QueueFullError(DownloadError):
    """`limit` downloads are waiting already."""

    code = ErrorCode.QUEUE_FULL

    def __init__(self, limit: int, *, retry_after: float) -> None:
        super().__init__(f"{limit} downloads are waiting already (max_queued)", retry_after=retry_after)
        self.limit = limit


class CancelledByUserError(DownloadError):
    """A user cancelled the download."""

    code = ErrorCode.CANCELLED

    def __init__(self) -> None:
        super().__init__("cancelled by a user")


class NotFoundError(DownloadError):
    """Nothing at this path, or no such download."""

    code = ErrorCode.NOT_FOUND


class MethodNotAllowedError(DownloadError):
    """The path takes only the methods in `allowed`."""

    code = ErrorCode.METHOD_NOT_ALLOWED

    def __init__(self, method: str, allowed: tuple[str, ...]) -> None:
        super().__init__(f"{method} is not possible here; use {' or '.join(allowed)}")
        self.allowed = allowed


class InvalidStateError(DownloadError):
    """The download's state does not allow the action."""

    code = ErrorCode.INVALID_STATE


class IdempotencyKeyReusedError(DownloadError):
    """The key belongs to a different request."""

    code = ErrorCode.IDEMPOTENCY_KEY_REUSED

    def __init__(self) -> None:
        super().__init__("this Idempotency-Key belongs to a different request of the last 24 hours")


class BodyTooLargeError(DownloadError):
    """The request body is over `limit` bytes."""

    code = ErrorCode.BODY_TOO_LARGE

    def __init__(self, limit: int) -> None:
        super().__init__(f"the body is over {limit} bytes")
        self.limit = limit


class BodyTooSlowError(DownloadError):
    """The request body does not come, or at less than `min_rate` bytes a second, for `max_wait` seconds."""

    code = ErrorCode.BODY_TOO_SLOW

    def __init__(self, max_wait: float, min_rate: int) -> None:
        super().__init__(
            f"the body did not come: it was waited for {max_wait:g} s, and a second more for every {min_rate} bytes"
        )
        self.max_wait = max_wait
        self.min_rate = min_rate


class ShuttingDownError(DownloadError):
    """The daemon is stopping."""

    code = ErrorCode.SHUTTING_DOWN

    def __init__(self) -> None:
        super().__init__("the server is stopping; try again in a few seconds", retry_after=5)


class CrossSiteError(DownloadError):
    """A page of another site sent the request."""

    code = ErrorCode.CROSS_SITE_REQUEST

    def __init__(self) -> None:
        super().__init__("a page of another web site sent this request")


class HostNotAllowedError(DownloadError):
    """The `Host` field is not one of ours, for the reason given."""

    code = ErrorCode.HOST_NOT_ALLOWED

    def __init__(self, reason: str) -> None:
        super().__init__(f"Host: {reason}")


class TooManyFailedLoginsError(DownloadError):
    """An address has to wait before it may log in again."""

    code = ErrorCode.TOO_MANY_FAILED_LOGINS

    def __init__(self, retry_after: float) -> None:
        super().__init__("wrong credentials came from this address too often", retry_after=retry_after)


class HttpVersionNotSupportedError(DownloadError):
    """The request is made in `version` (as in its request line), which is not spoken here."""

    code = ErrorCode.HTTP_VERSION_NOT_SUPPORTED

    def __init__(self, version: str) -> None:
        super().__init__(f"HTTP/{version} is not spoken here; use HTTP/1.1")
        self.version = version


class InternalError(DownloadError):
    """A mistake of the daemon itself; the log has the traceback."""

    code = ErrorCode.INTERNAL_ERROR

    def __init__(self) -> None:
        super().__init__("the server made a mistake; its log has the details")


class StartupError(Exception):
    """The daemon cannot start, or not with this configuration.

    Attributes:
        message: what is wrong and what to do; a line for each mistake. Never holds a secret.
        exit_status: 2 for a mistake in configuration or usage, 1 for everything else.
    """

    exit_status: int = 1

    def __init__(self, message: str, *, exit_status: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        if exit_status is not None:
            self.exit_status = exit_status
