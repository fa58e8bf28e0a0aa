"""Errors of the quotas of users.

Pure: no I/O and no clock.
"""

from downloadd.errors.base import DownloadError, Occasion


class UserQuotaError(DownloadError, code="QUOTA_EXCEEDED"):
    """Download that does not fit into a quota of its user."""

    status = 507
    title = "Quota exceeded"
    description = "The download does not fit into a quota of its user"
    resolution = "Remove files of earlier downloads, or contact administrator to raise the quota of the user"
    advice = (
        "`stored_bytes` and `bytes_per_day` of `[[users]]` are the quotas; the message has what is used. A download "
        "that only has to wait for the next day does not fail."
    )
    occasions = frozenset({Occasion.START})


class DayQuotaPendingError(UserQuotaError):
    """Bytes that the user may not receive today; the download waits, and the attempt is not a failure.

    Attributes:
        limit: bytes that the user may receive in a day.
        until: Unix time before which the download may not start; None if it may as soon as others of its user.
    """

    def __init__(self, detail: str, *, limit: int, until: float | None = None) -> None:
        super().__init__(detail)
        self.limit = limit
        self.until = until
