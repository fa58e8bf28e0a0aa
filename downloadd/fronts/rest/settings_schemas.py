"""Structs of the body and the answers about settings that users may change; see `schemas`.

Pure: no I/O and no clock.
"""

import msgspec
from msgspec import UNSET, UnsetType

from downloadd.config import MaxConcurrent, MaxPerHost
from downloadd.runtime_settings import AllowStarts, CurrentSettings, OverallSpeedLimit


class SettingsBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`PATCH /api/v1/settings`: an omitted field stays as it is."""

    max_concurrent: MaxConcurrent | UnsetType = UNSET
    max_per_host: MaxPerHost | UnsetType = UNSET
    speed_limit: OverallSpeedLimit | UnsetType = UNSET
    allow_starts: AllowStarts | UnsetType = UNSET


class SettingsResponse(CurrentSettings, frozen=True, kw_only=True):
    """The limits on all downloads after a change."""

    success: bool
    message: str
