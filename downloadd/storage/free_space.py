"""Refuse before the disk is full."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from downloadd.clock import Clock
from downloadd.errors import InsufficientStorageError
from downloadd.storage.root import Space

FRESH_SECONDS: Final = 0.5
"""How long a look at the disk is believed; many running downloads then share one."""


def missing_bytes(*, free: int, needed: int, min_free: int) -> int:
    """How many bytes of space are missing so that `min_free` stay free after `needed` more are written."""
    return max(0, needed + min_free - free)


class FreeSpace:
    """Keeps `min_free` bytes free, whatever is written at the same moment; cheap to ask often.

    What is being written, or was since the last look at the disk, counts as used. Any thread may ask; all but
    `has_room` may look at the disk, and so belong in threads.

    Args:
        look: tells the room; a call to the operating system.
        min_free: bytes to keep free; with none, the operating system has the last word, and writes are not counted.
        clock: for the age of the last look.
    """

    def __init__(self, look: Callable[[], Space], *, min_free: int, clock: Clock) -> None:
        self._look = look
        self._min_free = min_free
        self._clock = clock
        # A disk may take long to answer; whoever only counts must not wait for that.
        self._looking = threading.Lock()
        self._counting = threading.Lock()
        self._space = Space(free=0, capacity=0)
        self._seen_at: float | None = None
        self._being_written = 0
        self._written = 0

    def has_room(self, needed: int) -> bool:
        """Whether the last look tells that `needed` more bytes leave `min_free` free; False when it is too old."""
        return self._is_fresh() and not self._missing(needed)

    def require(self, needed: int) -> None:
        """Checks that `needed` more bytes leave `min_free` bytes free.

        Raises:
            InsufficientStorageError: they do not.
        """
        if self.has_room(needed):
            return
        # Room may have been made since, by a download that failed, say: a refusal takes a look of its own.
        self._look_anew()
        if self._missing(needed):
            self._refuse(needed)

    def forget(self) -> None:
        """What was seen holds no longer: the next question takes a look."""
        self._seen_at = None

    @contextmanager
    def claim(self, needed: int) -> Iterator[None]:
        """Sees to it that nobody else is promised the room for these bytes while they are being written.

        Raises:
            InsufficientStorageError: there is none.
        """
        if not self._min_free:
            yield
            return
        if not self._take(needed):
            self._look_anew()
            if not self._take(needed):
                self._refuse(needed)
        try:
            yield
        finally:
            with self._counting:
                self._being_written -= needed
                self._written += needed

    def _take(self, needed: int) -> bool:
        with self._counting:
            if not self.has_room(needed):
                return False
            self._being_written += needed
            return True

    def _refuse(self, needed: int) -> None:
        raise InsufficientStorageError(
            f"{needed} bytes are needed, but {self._free} are free and {self._min_free} must stay free (min_free)",
            lasting=bool(missing_bytes(free=self._space.capacity, needed=needed, min_free=self._min_free)),
        )

    @property
    def _free(self) -> int:
        return max(0, self._space.free - self._being_written - self._written)

    def _missing(self, needed: int) -> int:
        return missing_bytes(free=self._free, needed=needed, min_free=self._min_free)

    def _look_anew(self) -> None:
        asked_at = self._clock.monotonic()
        with self._looking:
            seen_at = self._seen_at
            if seen_at is not None and seen_at > asked_at:
                # Somebody else's look, begun since.
                return
            begun_at = self._clock.monotonic()
            # What is written meanwhile may be in the look or not.
            before = self._written
            space = self._look()
            with self._counting:
                self._written -= before
                self._space = space
                self._seen_at = begun_at

    def _is_fresh(self) -> bool:
        # Another thread may forget it in between.
        seen_at = self._seen_at
        return seen_at is not None and self._clock.monotonic() - seen_at < FRESH_SECONDS
