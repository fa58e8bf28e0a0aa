"""Paths of the files of an archive below the directory that it is extracted to.

Pure: no I/O and no clock.
"""

from collections.abc import Iterable, Sequence
from itertools import accumulate, count

import msgspec

from downloadd.download import join_path
from downloadd.storage.names import SafeDirectory, SafeName, numbered_name, parse_directory, sanitize_name


class PlannedFile(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A file of an archive, and where it is extracted to."""

    entry: str
    """Name in the archive."""
    directory: SafeDirectory
    filename: SafeName


def plan_files(entries: Iterable[str], top: str) -> Sequence[PlannedFile]:
    """Return the files with safe paths below the directory `top`, each with another one.

    Of names that become the same, all but the first get numbers, as does a file with the name of a directory. The
    numbers depend on the entries alone, so that a repeated extraction gives the same paths.

    Raises:
        InvalidPathError: a path is too long.
    """
    places = [(entry, *_make_safe(entry, top)) for entry in entries]
    taken = {
        parent for directory in {each[1] for each in places} for parent in accumulate(directory.split("/"), join_path)
    }
    numbers: dict[str, count[int]] = {}
    planned: list[PlannedFile] = []
    for entry, directory, name in places:
        path, chosen = join_path(directory, name), name
        while join_path(directory, chosen) in taken:
            chosen = numbered_name(name, next(numbers.setdefault(path, count(1))))
        taken.add(join_path(directory, chosen))
        planned.append(PlannedFile(entry=entry, directory=directory, filename=chosen))
    return planned


def _make_safe(entry: str, top: str) -> tuple[SafeDirectory, SafeName]:
    *folders, base = entry.split("/")
    segments = (sanitize_name(folder) for folder in folders if folder not in {"", "."})
    return parse_directory("/".join((top, *segments))), sanitize_name(base)
