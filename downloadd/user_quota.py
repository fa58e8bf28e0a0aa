"""Quotas of a user: downloads that run, bytes of a day, and bytes that are stored.

Pure: no I/O and no clock.
"""

from typing import Annotated

import msgspec
from msgspec import Meta


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


class QuotaUse(msgspec.Struct, frozen=True, kw_only=True):
    """Use of a quota."""

    used: Annotated[int, Meta(description="Downloads, or bytes.")]
    limit: Annotated[int, Meta(description="As configured.")]


class DayUse(QuotaUse, frozen=True, kw_only=True):
    """Use of the quota of a day."""

    ends: Annotated[int, Meta(description="Unix time at which the next day begins.")]


class UserQuotaUse(msgspec.Struct, frozen=True, kw_only=True):
    """Use of the quotas of a user; null for one that the user does not have."""

    user: str
    max_concurrent: QuotaUse | None = None
    bytes_per_day: DayUse | None = None
    stored_bytes: QuotaUse | None = None
