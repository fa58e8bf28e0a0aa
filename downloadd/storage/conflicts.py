"""What to do when a final name is taken.

Pure: whether a name is taken is asked of the caller.
"""

from collections.abc import Callable
from typing import assert_never

from downloadd.download import Conflict
from downloadd.errors import FileExistsAlreadyError
from downloadd.storage.names import SafeName, numbered_name


def resolve_conflict(
    filename: SafeName, conflict: Conflict, *, path: str, is_taken: Callable[[SafeName], bool]
) -> SafeName | None:
    """The name to publish under; None when the name is taken and the download is to be skipped.

    `path` is where `filename` lies below the root, for the sentence of the error.

    Raises:
        FileExistsAlreadyError: the name is taken and the policy is `error`.
    """
    match conflict:
        case Conflict.OVERWRITE:
            return filename
        case Conflict.RENAME:
            return find_free_name(filename, is_taken)
        case Conflict.SKIP:
            return None if is_taken(filename) else filename
        case Conflict.ERROR:
            if is_taken(filename):
                raise FileExistsAlreadyError(path)
            return filename
    assert_never(conflict)


def find_free_name(filename: SafeName, is_taken: Callable[[SafeName], bool]) -> SafeName:
    """`filename` itself when it is free, else one of its numbered names.

    The number is the lowest free one when the numbers are taken without gaps. Asks about 2·log2(n) times when n are
    taken, so that the thousandth download of one name costs little more than the first.
    """
    if not is_taken(filename):
        return filename
    return numbered_name(filename, find_free_number(lambda n: is_taken(numbered_name(filename, n))))


def find_free_number(is_taken: Callable[[int], bool]) -> int:
    """A free number of at least 1 whose predecessor is taken or 0: gallops over 1, 2, 4, 8…, then bisects."""
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
    """Final names that are promised to a download and not on disk yet. For use by one thread."""

    def __init__(self) -> None:
        self._names: dict[str, set[str]] = {}

    def add(self, directory: str, filename: str) -> None:
        """Promises a name."""
        self._names.setdefault(directory, set()).add(filename)

    def discard(self, directory: str, filename: str) -> None:
        """Takes a promise back; does nothing when there is none."""
        names = self._names.get(directory)
        if names is None:
            return
        names.discard(filename)
        if not names:
            del self._names[directory]

    def names_in(self, directory: str) -> frozenset[str]:
        """The names promised in a directory, as they are now."""
        return frozenset(self._names.get(directory, ()))
