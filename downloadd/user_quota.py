"""Quotas of a user: downloads that run, bytes of a day, and bytes that are stored.

Pure: no I/O and no clock.
"""

import msgspec


class UserQuota(msgspec.Struct, frozen=True, kw_only=True):
    """Quotas of one user; None for no limit."""

    max_concurrent: int | None = None
    """Downloads that run at once."""
    bytes_per_day: int | None = None
    """Bytes that origins send in a day of the time zone."""
    stored_bytes: int | None = None
    """Bytes of the files of the user's downloads on the disk, with those of unfinished ones."""
    time_zone: str = "UTC"
    """Name of the time zone of the days, in the IANA database."""
