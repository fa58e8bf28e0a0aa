"""Errors about what a user asks for: a URL, a path, a parameter, an action.

Pure: no I/O and no clock.
"""

from downloadd.errors.base import DownloadError, Occasion


class InvalidUrlError(DownloadError, code="INVALID_URL"):
    """Malformed URL, or one that is neither http nor https."""

    status = 400
    title = "Invalid URL"
    description = "The provided URL is malformed or invalid"
    resolution = "Verify URL format is correct and includes protocol (http:// or https://)"
    advice = "Percent-encode the whole URL if it is part of a query: `curl -G --data-urlencode download=…`."
    occasions = frozenset({Occasion.START})
    concerns_source = True


class DomainBlockedError(DownloadError, code="DOMAIN_BLOCKED"):
    """Host, or address that a host resolves to, that the policy forbids."""

    status = 403
    title = "Domain not allowed"
    description = "This domain is blocked by server's download domain restrictions"
    resolution = "Contact administrator to whitelist this domain or use allowed domains"
    advice = (
        "`detail` names the host or address. Private addresses are allowed only by `downloads.allowed_networks`, hosts "
        "by `downloads.allowed_domains`, ports by `downloads.allowed_ports`."
    )
    occasions = frozenset({Occasion.START})
    concerns_source = True


class InvalidParameterError(DownloadError, code="INVALID_PARAMETER"):
    """Query parameter, header or body field (`name`) with a value that is not valid."""

    status = 400
    title = "Invalid parameter"
    description = "A query parameter, header or body field is unknown, out of range or of the wrong type"
    resolution = "Correct the value that detail names; percent-encode a URL given as a value"
    advice = "`detail` names the parameter and the values that it takes."
    occasions = frozenset({Occasion.QUERY, Occasion.START, Occasion.READ, Occasion.ACTION, Occasion.IMPORT})

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(f"{name}: {problem}")
        self.name = name


class InvalidPathError(DownloadError, code="INVALID_PATH"):
    """Directory or filename that cannot be used below the storage root."""

    status = 400
    title = "Invalid path"
    description = "The directory or filename leads out of the storage root, is reserved or cannot be represented"
    resolution = "Use a relative directory and a plain file name of at most 255 bytes"
    advice = "Leave out `..`, control characters and names that begin like part files."
    occasions = frozenset({Occasion.START})


class NotFoundError(DownloadError, code="NOT_FOUND"):
    """Path without a resource, or id without a download."""

    status = 404
    title = "Not found"
    description = "This path does not exist, or no download, schedule or user has this id or name"
    resolution = "Check the path and the id; GET /api/v1/openapi.json lists every path"
    advice = "With `server.base_path` set, every path is below it."
    occasions = frozenset({Occasion.ACTION})


class InvalidStateError(DownloadError, code="INVALID_STATE"):
    """State of a download that does not allow the action."""

    status = 409
    title = "Invalid state"
    description = "The download's state does not allow this action"
    resolution = "Read the download's status; detail says which states allow the action"
    advice = "Read `status` first: a finished download cannot be paused, and a running one cannot be resumed."
    occasions = frozenset({Occasion.ACTION})


class PreconditionFailedError(DownloadError, code="PRECONDITION_FAILED"):
    """Condition of a request that the file does not meet."""

    status = 412
    title = "Precondition failed"
    description = "The file is not the one that If-Match or If-Unmodified-Since names"
    resolution = "Start over without the received bytes and the condition"
    advice = "The file was downloaded again since the first part of it was read."
    # The content of a file alone has conditions.
    occasions = frozenset[Occasion]()

    def __init__(self) -> None:
        super().__init__("the file is another one than the condition of the request names")


class RangeNotSatisfiableError(DownloadError, code="RANGE_NOT_SATISFIABLE"):
    """Range that begins after the end of a file.

    Attributes:
        size: bytes of the file.
    """

    status = 416
    title = "Range not satisfiable"
    description = "The requested range begins after the end of the file"
    resolution = "Request a range within the size that Content-Range names"
    advice = "All of the file was received already, or it is a shorter one than before."
    occasions = frozenset[Occasion]()

    def __init__(self, size: int) -> None:
        super().__init__(f"the file has {size} bytes")
        self.size = size


class IdempotencyKeyReusedError(DownloadError, code="IDEMPOTENCY_KEY_REUSED"):
    """Idempotency key that belongs to a different request."""

    status = 422
    title = "Idempotency key reused"
    description = "This Idempotency-Key was used for a different request within 24 hours"
    resolution = "Use a new key for a new request"
    advice = "Generate a UUID for each request and send it again only when you repeat that request."
    occasions = frozenset({Occasion.ADMISSION})

    def __init__(self) -> None:
        super().__init__("this Idempotency-Key was used for a different request within the last 24 hours")


class CancelledByUserError(DownloadError, code="CANCELLED"):
    """Cancellation by a user."""

    status = 409
    title = "Cancelled"
    description = "A user cancelled the download"
    resolution = "Retry the download to start it again"
    advice = "`retry` starts it again."
    occasions = frozenset({Occasion.END})

    def __init__(self) -> None:
        super().__init__("cancelled by a user")
