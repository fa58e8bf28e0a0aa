"""A schedule: a URL that is fetched again and again, and the outcome of its runs.

Pure: no I/O and no clock.
"""

from enum import StrEnum
from typing import Final

import msgspec

from downloadd.download import Condition

SCHEDULE_NAME_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}\Z"
MAX_KEPT_VERSIONS: Final = 1000


class ScheduleSource(StrEnum):
    """The place where a schedule is defined; it is changed only there."""

    CONFIGURATION = "configuration"
    API = "api"


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """A completed run whose file is kept."""

    due: float
    """The time of the run (Unix time)."""
    download_id: str


class ScheduleDefinition(msgspec.Struct, frozen=True, kw_only=True):
    """What is fetched, and when."""

    cron: str
    time_zone: str
    url: str
    """As given, with its secrets: never show it."""
    directory: str
    filename: str
    keep: int
    """Versions of the file that stay; 1 for one that each new version replaces."""
    user: str
    """Id of the user whose rights the runs have."""
    paused: bool = False


class Schedule(msgspec.Struct, frozen=True, kw_only=True):
    """A schedule with the outcome of its runs, as the store keeps it."""

    name: str
    source: ScheduleSource
    created: float
    """Unix time; distinguishes it from an earlier one of the same name."""
    definition: ScheduleDefinition
    next_run: float | None = None
    """Unix time of the next run; None if it is paused."""
    last_run: float | None = None
    """Time of the last run, which is its key in the records."""
    last_download: str | None = None
    """Id of the download of that run."""
    is_settled: bool = True
    """False until the outcome of that download is part of this."""
    problem: str | None = None
    """Why the last run could not start, in words."""
    condition: Condition | None = None
    """Validators of the last completed run."""
    versions: tuple[Version, ...] = ()
    """Completed runs whose files are kept, the newest first."""
    revision: int = 0
    """Number of changes; a change is written only over the revision that it was made of."""
