"""Detection that the database's files were removed or moved while they are open.

Blocks on the disk: for threads only.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import structlog

from downloadd.errors import StoreUnavailableError

log = structlog.get_logger()

_MISSING_DETAIL: Final = (
    "the daemon's records were removed or moved away while it ran, so that nothing can be written; put its state "
    "directory back as it was, or restart the daemon"
)

_FileIdentity = tuple[int, int]
"""Device and inode number of a file."""


class OpenFiles:
    """Identities of the files that the open database is written to."""

    def __init__(self, database: Path) -> None:
        self._database = database
        self._identities: Sequence[tuple[str, _FileIdentity]] = ()
        self._are_missing = False

    def remember(self) -> None:
        """Remember the files of the database, which is open.

        Raises:
            OSError: they are missing already.
        """
        database = os.path.realpath(self._database)
        # A commit is in the write-ahead log first, so that this file must not be lost either.
        paths = (str(self._database), f"{database}-wal")
        self._identities = tuple((path, _identity(path)) for path in paths)

    def require_in_place(self) -> None:
        """Check that the next start will find what is written now. Takes some microseconds.

        Raises:
            StoreUnavailableError: a file was removed or moved away.
        """
        try:
            are_missing = any(_identity(path) != identity for path, identity in self._identities)
        except OSError:
            are_missing = True
        if are_missing != self._are_missing:
            self._are_missing = are_missing
            if are_missing:
                log.error("records_missing", database=str(self._database), detail=_MISSING_DETAIL)
            else:
                log.warning("records_restored", database=str(self._database))
        if are_missing:
            raise StoreUnavailableError(_MISSING_DETAIL)


def _identity(path: str) -> _FileIdentity:
    status = os.stat(path)
    return status.st_dev, status.st_ino
