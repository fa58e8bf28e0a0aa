"""Choice of the files of a watch folder that are complete.

A program that writes a file gives no sign when it is done, unless it renames it. So a file is complete once neither its
identity, size nor time of modification has changed for some seconds.

Pure: no I/O and no clock.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

UNFINISHED_SUFFIXES: Final = (
    ".part",
    ".partial",
    ".tmp",
    ".temp",
    ".crdownload",
    ".download",
    ".filepart",
    ".swp",
    "~",
)
"""Endings of names that other programs give to files that they have not finished."""


class FolderFile(msgspec.Struct, frozen=True, kw_only=True):
    """A regular file of a watch folder."""

    name: str
    inode: int
    size: int
    modified: int
    """Unix nanoseconds."""


class Observation(msgspec.Struct, frozen=True, kw_only=True):
    """A file, and the monotonic time since which it is as it is."""

    file: FolderFile
    since: float


def is_candidate(name: str) -> bool:
    """Return True unless the name is that of a hidden or an unfinished file."""
    return not name.startswith(".") and not name.lower().endswith(UNFINISHED_SUFFIXES)


def observe(earlier: Mapping[str, Observation], files: Iterable[FolderFile], *, now: float) -> dict[str, Observation]:
    """Return the observations by name; a file that has not changed keeps its time."""
    observations: dict[str, Observation] = {}
    for file in files:
        known = earlier.get(file.name)
        is_same = known is not None and known.file == file
        observations[file.name] = known if known is not None and is_same else Observation(file=file, since=now)
    return observations


def settled(observations: Mapping[str, Observation], *, now: float, seconds: float) -> Sequence[str]:
    """Return the names of the files that have not changed for so many seconds, by time of modification and name."""
    ready = [each.file for each in observations.values() if now - each.since >= seconds]
    return [file.name for file in sorted(ready, key=lambda file: (file.modified, file.name))]
