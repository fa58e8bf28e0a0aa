"""Choice of a final name when the preferred one is taken.

Pure: the caller says which names are taken.
"""

from collections.abc import Callable
from functools import partial
from typing import assert_never

from downloadd.download import Conflict
from downloadd.errors import FileExistsAlreadyError
from downloadd.storage.names import MAX_NAME_BYTES, SafeDirectory, SafeName, numbered_name


def resolve_conflict(
    filename: SafeName,
    conflict: Conflict,
    *,
    path: str,
    is_taken: Callable[[SafeName], bool],
    max_name_bytes: int = MAX_NAME_BYTES,
) -> SafeName | None:
    """Return the name to publish under; None when the name is taken and the download is skipped.

    `path` is the path of `filename` below the root, for the error; `max_name_bytes` is the limit of the disk.

    Raises:
        FileExistsAlreadyError: the name is taken and the policy is `error`.
    """
    match conflict:
        case Conflict.OVERWRITE:
            return filename
        case Conflict.RENAME:
            return find_free_name(filename, is_taken, max_name_bytes)
        case Conflict.SKIP:
            return None if is_taken(filename) else filename
        case Conflict.ERROR:
            if is_taken(filename):
                raise FileExistsAlreadyError(path)
            return filename
    assert_never(conflict)


def find_free_name(
    filename: SafeName, is_taken: Callable[[SafeName], bool], max_bytes: int = MAX_NAME_BYTES
) -> SafeName:
    """Return `filename` if it is free, else one of its numbered names.

    The number is the lowest free one if the taken numbers have no gaps. Calls `is_taken` about 2·log2(n) times when n
    numbers are taken, so that the thousandth download of one name costs little more than the first.
    """
    if not is_taken(filename):
        return filename
    numbered = partial(numbered_name, filename, max_bytes=max_bytes)
    return numbered(find_free_number(lambda n: is_taken(numbered(n))))


def find_free_number(is_taken: Callable[[int], bool]) -> int:
    """Return a free number of at least 1 whose predecessor is taken or 0, by galloping and bisection."""
    taken, free = 0, 1
    while is_taken(free):
        taken, free = free, 2 * free
    while free - taken > 1:
        middle = (taken + free) // 2
        if is_taken(middle):
            taken = middle
        else:
            free = middle
    return free


class Reservations:
    """Final names that are reserved for a download and not on disk yet. For use by one thread."""

    def __init__(self) -> None:
        self._names: dict[SafeDirectory, set[SafeName]] = {}

    def add(self, directory: SafeDirectory, filename: SafeName) -> None:
        """Reserve a name."""
        self._names.setdefault(directory, set()).add(filename)

    def discard(self, directory: SafeDirectory, filename: SafeName) -> None:
        """Release a name; do nothing if it is not reserved."""
        names = self._names.get(directory)
        if names is None:
            return
        names.discard(filename)
        if not names:
            del self._names[directory]

    def names_in(self, directory: SafeDirectory) -> frozenset[SafeName]:
        """Return a copy of the names that are reserved in a directory."""
        return frozenset(self._names.get(directory, ()))
