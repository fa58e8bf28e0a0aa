"""Downloads that wait again though nobody paused them; clients are not notified of their next start.

Pure: no I/O and no clock.
"""

from typing import Final

from downloadd.download import Download

MAX_INTERRUPTIONS: Final = 10_000
"""Interrupted downloads that are remembered until they start again."""


class Interruptions:
    """The interrupted downloads, as id and number of runs so far; the first one first."""

    def __init__(self) -> None:
        self._epochs: dict[str, int] = {}

    def add(self, download: Download) -> None:
        """Remember that the run of a download was interrupted."""
        self._epochs.pop(download.id, None)
        self._epochs[download.id] = download.epoch
        if len(self._epochs) > MAX_INTERRUPTIONS:
            del self._epochs[next(iter(self._epochs))]

    def remove(self, download: Download) -> bool:
        """Forget the interruption of a download; return True if its present run is the next one after it."""
        # Other runs may have begun while there was nobody to notify.
        return self._epochs.pop(download.id, download.epoch) == download.epoch - 1
