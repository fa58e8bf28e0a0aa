"""Errors of the daemon itself: it is switched off, full, stopping, without its records, or defective.

Pure: no I/O and no clock.
"""

from typing import ClassVar

from downloadd.errors.base import DownloadError, Occasion


class DownloadForbiddenError(DownloadError, code="DOWNLOAD_FORBIDDEN"):
    """Daemon that was started without the permission to download."""

    status = 403
    title = "Download operation not allowed"
    description = "Server is not configured to allow downloading from URLs"
    resolution = "Contact administrator to enable --allow-download flag"
    advice = "Start the daemon with `--allow-download`, or set `downloads.enabled = true`."
    occasions = frozenset({Occasion.ADMISSION})

    def __init__(self) -> None:
        super().__init__("the daemon was started without --allow-download (downloads.enabled)")


class QueueFullError(DownloadError, code="QUEUE_FULL"):
    """Queue that holds `limit` waiting downloads."""

    status = 429
    title = "Queue full"
    description = "Too many downloads are waiting"
    resolution = "Try again after the time in the Retry-After header"
    advice = "Wait for the time in `Retry-After`. The limit is `downloads.max_queued`."
    occasions = frozenset({Occasion.START})
    sends_retry_after = True
    RETRY_AFTER: ClassVar = 30
    """Seconds after which a client may try again."""

    def __init__(self, limit: int) -> None:
        super().__init__(
            f"the limit of {limit} waiting downloads is reached (downloads.max_queued)", retry_after=self.RETRY_AFTER
        )
        self.limit = limit


class StoreUnavailableError(DownloadError, code="STORE_UNAVAILABLE"):
    """Records that are locked by another program, moved away, refused by their disk, or on a server that is away.

    Nothing was changed; of an accept, that is unknown if the server was lost during its commit.

    The failure is transient and does not count against a download.
    """

    status = 503
    title = "Store unavailable"
    description = "The server's records cannot be used at the moment; nothing was changed"
    resolution = "Try again after the time in the Retry-After header"
    advice = (
        "Try again after `Retry-After`. Another program holds a lock on `records.db`, the state directory was moved "
        "away, its disk refuses writes, or the database server cannot be reached; `detail` says which. Accepted "
        "downloads wait for it."
    )
    occasions = frozenset({Occasion.ADMISSION, Occasion.READ, Occasion.ACTION, Occasion.IMPORT})
    sends_retry_after = True
    RETRY_AFTER: ClassVar = 5.0
    """Seconds that a client is asked to wait."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail, retry_after=self.RETRY_AFTER)

    @property
    def transient(self) -> bool:
        """True if the same request may succeed later."""
        return True


class ShuttingDownError(DownloadError, code="SHUTTING_DOWN"):
    """Daemon that is stopping."""

    status = 503
    title = "Shutting down"
    description = "The server is stopping and accepts no new requests"
    resolution = "Try again in a few seconds"
    advice = "The daemon restarts; try again after `Retry-After`. Accepted downloads continue without further requests."
    occasions = frozenset({Occasion.ADMISSION, Occasion.IMPORT})
    sends_retry_after = True

    def __init__(self) -> None:
        super().__init__("the server is stopping; try again in a few seconds", retry_after=5)


class InternalError(DownloadError, code="INTERNAL_ERROR"):
    """Defect of the daemon; the log has the traceback."""

    status = 500
    title = "Internal error"
    description = "The server failed because of a defect; its log has the details"
    resolution = "Report the request id with the server's log"
    advice = "Report the defect with the log line that has the `request_id` of the response."
    occasions = frozenset({Occasion.ANY_REQUEST})

    def __init__(self) -> None:
        super().__init__("the server failed because of a defect; its log has the details")


class StartupError(Exception):
    """Reason why the daemon cannot start, or not with this configuration.

    Attributes:
        message: what is wrong and what to do, one line for each mistake. It never holds a secret.
        exit_status: 2 for a mistake in configuration or usage, 1 for every other.
    """

    exit_status: int = 1

    def __init__(self, message: str, *, exit_status: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        if exit_status is not None:
            self.exit_status = exit_status
