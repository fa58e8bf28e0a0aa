"""Restarts of transfers by changes of options, which clients are not notified of.

Pure: no I/O and no clock.
"""

from collections import deque
from typing import Final

from downloadd.download import Download

MAX_RESTARTS: Final = 1000
"""Restarts that are remembered until their notifications are due."""


class Restarts:
    """The latest restarts, as the id of the download and the number of its runs before.

    A number is never used twice, so that a restart that nobody was notified of has no effect later.
    """

    def __init__(self) -> None:
        self._epochs: deque[tuple[str, int]] = deque(maxlen=MAX_RESTARTS)

    def add(self, download: Download) -> None:
        """Remember the restart of a download that runs."""
        self._epochs.append((download.id, download.epoch))

    def hides_pause(self, download: Download) -> bool:
        """Return True if a download was paused for its restart only."""
        return (download.id, download.epoch) in self._epochs

    def hides_start(self, download: Download) -> bool:
        """Return True if a download begins to run because of its restart only."""
        return (download.id, download.epoch - 1) in self._epochs
