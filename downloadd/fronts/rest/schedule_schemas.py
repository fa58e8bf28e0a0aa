"""Structs of the bodies and the answers about schedules; see `schemas`.

Pure: no I/O and no clock.
"""

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from downloadd.schedule import MAX_KEPT_VERSIONS, SCHEDULE_NAME_PATTERN, ScheduleSource
from downloadd.states import State

ScheduleName = Annotated[
    str, Meta(pattern=SCHEDULE_NAME_PATTERN, description="1 to 64 letters, digits, hyphens and underscores.")
]
Cron = Annotated[
    str, Meta(description="Minute, hour, day of the month, month and day of the week, such as `30 2 * * mon-fri`.")
]
TimeZone = Annotated[str, Meta(description="Time zone of these, by its name in the IANA database.")]
ScheduleUrl = Annotated[str, Meta(description="URL to fetch.")]
ScheduleDirectory = Annotated[str, Meta(description="Destination below the storage root; empty for the root itself.")]
ScheduleFilename = Annotated[str, Meta(description="Name of the file; empty for that of the URL.")]
Keep = Annotated[
    int,
    Meta(
        ge=1,
        le=MAX_KEPT_VERSIONS,
        description="Versions of the file that stay; 1 for one that each new version replaces. More have the time of "
        "their run in their names.",
    ),
]
Paused = Annotated[bool, Meta(description="Start no runs.")]


class ScheduleBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`POST /api/v1/schedules`."""

    name: ScheduleName
    cron: Cron
    url: ScheduleUrl
    time_zone: TimeZone = "UTC"
    directory: ScheduleDirectory = ""
    filename: ScheduleFilename = ""
    keep: Keep = 1
    paused: Paused = False

    def __repr__(self) -> str:
        """Return the name; the URL may hold a secret."""
        return f"ScheduleBody(name={self.name!r}, ...)"


class ScheduleChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """`PATCH /api/v1/schedules/{id}`: an omitted field stays as it is."""

    cron: Cron | UnsetType = UNSET
    url: ScheduleUrl | UnsetType = UNSET
    time_zone: TimeZone | UnsetType = UNSET
    directory: ScheduleDirectory | UnsetType = UNSET
    filename: ScheduleFilename | UnsetType = UNSET
    keep: Keep | UnsetType = UNSET
    paused: Paused | UnsetType = UNSET

    def __repr__(self) -> str:
        """Return the name of the type; the URL may hold a secret."""
        return "ScheduleChange(...)"


class ScheduleEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A schedule with the outcome of its last run."""

    name: str
    source: Annotated[
        ScheduleSource, Meta(description="`configuration` for one of `[[schedules]]`, which is changed only there.")
    ]
    cron: Cron
    time_zone: TimeZone
    url: Annotated[str, Meta(description="Without credentials.")]
    directory: str
    filename: str
    keep: int
    user: Annotated[str, Meta(description="Id of the user whose rights the runs have.")]
    paused: bool
    next_run: Annotated[int, Meta(description="Unix seconds; null if it is paused.")] | None
    last_run: Annotated[int, Meta(description="Unix seconds of the time for which it was planned.")] | None
    last_download: Annotated[str, Meta(description="Id of its download.")] | None
    last_status: Annotated[State, Meta(description="State of that download; null if it was removed.")] | None
    last_error: (
        Annotated[str, Meta(description="Its error code; `UNCHANGED` if the origin had no other version.")] | None
    )
    problem: Annotated[str, Meta(description="Why the last run could not start, if it could not.")] | None
    versions: Annotated[int, Meta(description="Versions of the file that are kept.")]


class Schedules(msgspec.Struct, frozen=True, kw_only=True):
    """All schedules, by name."""

    schedules: list[ScheduleEntry]


class ScheduleResponse(ScheduleEntry, frozen=True, kw_only=True):
    """The schedule after an action."""

    success: bool
    message: str
