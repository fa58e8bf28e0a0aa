"""Settings that users may change while the daemon runs, until a restart or a reload applies the configuration again.

Those over several nodes last until one of these reloads, or all have stopped.

Pure: no I/O and no clock.
"""

from collections.abc import Sequence
from typing import Annotated, Final

import msgspec
from msgspec import Meta
from msgspec.structs import asdict

from downloadd.config import MaxConcurrent, MaxPerHost
from downloadd.download_request import BYTES_PER_SECOND
from downloadd.errors import InvalidParameterError

OverallSpeedLimit = Annotated[
    int,
    Meta(
        ge=0, le=2**62, description="Bytes a second of all downloads together; 0 for no limit.", extra=BYTES_PER_SECOND
    ),
]


AllowStarts = Annotated[bool, Meta(description="Let waiting downloads start; those that run continue in any case.")]


class RuntimeSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The limits on all downloads that hold now."""

    max_concurrent: MaxConcurrent
    max_per_host: MaxPerHost
    speed_limit: OverallSpeedLimit
    allow_starts: AllowStarts = True


SHARED_LIMITS: Final = ("max_per_host", "speed_limit", "allow_starts")
"""Limits that users change for all nodes together; the others are those of each node."""


class LimitHours(msgspec.Struct, frozen=True, kw_only=True):
    """The hours of `[[limits]]` that hold now."""

    hours: Annotated[str, Meta(description="Hours of a day, such as `22:00-06:00`.")]
    days: Annotated[Sequence[str], Meta(description="Days of the week on which the hours begin.")]
    time_zone: Annotated[str, Meta(description="Time zone of the hours, by its name in the IANA database.")]


class CurrentSettings(RuntimeSettings, frozen=True, kw_only=True):
    """The limits on all downloads that hold now, and the hours that they are from."""

    hours: Annotated[
        LimitHours | None, Meta(description="The hours of `[[limits]]` that hold now; null if there are none.")
    ] = None
    next_change: Annotated[
        float | None,
        Meta(description="Unix time at which other hours of `[[limits]]` begin to hold, or none; null if not near."),
    ] = None


class SettingsChange(msgspec.Struct, frozen=True, kw_only=True):
    """Changes of the settings, unchecked; None leaves a value as it is."""

    max_concurrent: int | None = None
    max_per_host: int | None = None
    speed_limit: int | None = None
    """Bytes a second; 0 for no limit."""
    allow_starts: bool | None = None


def change_settings(settings: RuntimeSettings, change: SettingsChange) -> RuntimeSettings:
    """Return the settings after a change.

    Raises:
        InvalidParameterError: a value is out of range.
    """
    changed = {name: value for name, value in asdict(change).items() if value is not None}
    try:
        return msgspec.convert({**asdict(settings), **changed}, RuntimeSettings)
    except msgspec.ValidationError as error:
        raise InvalidParameterError("settings", str(error)) from None
