"""Refuse before the disk is full."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from downloadd.clock import Clock
from downloadd.errors import InsufficientStorageError
from downloadd.storage.root import DiskSpace

MAX_MEASUREMENT_AGE_SECONDS: Final = 0.5
"""How long a look at the disk is believed; many running downloads then share one."""


def missing_bytes(*, free: int, needed: int, min_free: int) -> int:
    """How many bytes of space are missing so that `min_free` stay free after `needed` more are written."""
    return max(0, needed + min_free - free)


class FreeSpace:
    """Keeps `min_free` bytes free, whatever is written at the same moment; cheap to ask often.

    What is being written, or was since the last look at the disk, counts as used. Any thread may ask; all but
    `has_space` may look at the disk, and so belong in threads.

    Args:
        measure: tells the room; a call to the operating system.
        min_free: bytes to keep free; with none, the operating system has the last word, and writes are not counted.
        clock: for the age of the last look.
    """

    def __init__(self, measure: Callable[[], DiskSpace], *, min_free: int, clock: Clock) -> None:
        self._measure = measure
        self._min_free = min_free
        self._clock = clock
        # A disk may take long to answer; whoever only counts must not wait for that.
        self._measure_lock = threading.Lock()
        self._count_lock = threading.Lock()
        self._space = DiskSpace(free=0, capacity=0)
        self._measured_at: float | None = None
        self._reserved = 0
        self._written = 0

    def has_space(self, needed: int) -> bool:
        """Whether the last look tells that `needed` more bytes leave `min_free` free; False when it is too old."""
        return self._is_fresh() and not self._missing(needed)

    def check(self, needed: int) -> None:
        """Checks that `needed` more bytes leave `min_free` bytes free.

        Raises:
            InsufficientStorageError: they do not.
        """
        if self.has_space(needed):
            return
        # Room may have been made since, by a download that failed, say: a refusal takes a look of its own.
        self._measure_again()
        if self._missing(needed):
            self._raise_insufficient(needed)

    def invalidate(self) -> None:
        """What was seen holds no longer: the next question takes a look."""
        self._measured_at = None

    @contextmanager
    def reserve(self, needed: int) -> Iterator[None]:
        """Sees to it that nobody else is promised the room for these bytes while they are being written.

        Raises:
            InsufficientStorageError: there is none.
        """
        if not self._min_free:
            yield
            return
        if not self._try_reserve(needed):
            self._measure_again()
            if not self._try_reserve(needed):
                self._raise_insufficient(needed)
        try:
            yield
        finally:
            with self._count_lock:
                self._reserved -= needed
                self._written += needed

    def _try_reserve(self, needed: int) -> bool:
        with self._count_lock:
            if not self.has_space(needed):
                return False
            self._reserved += needed
            return True

    def _raise_insufficient(self, needed: int) -> None:
        raise InsufficientStorageError(
            f"{needed} bytes are needed, but {self._free} are free and {self._min_free} must stay free (min_free)",
            permanent=bool(missing_bytes(free=self._space.capacity, needed=needed, min_free=self._min_free)),
        )

    @property
    def _free(self) -> int:
        return max(0, self._space.free - self._reserved - self._written)

    def _missing(self, needed: int) -> int:
        return missing_bytes(free=self._free, needed=needed, min_free=self._min_free)

    def _measure_again(self) -> None:
        asked_at = self._clock.monotonic()
        with self._measure_lock:
            measured_at = self._measured_at
            if measured_at is not None and measured_at > asked_at:
                # Somebody else's look, begun since.
                return
            begun_at = self._clock.monotonic()
            # What is written meanwhile may be in the look or not.
            before = self._written
            space = self._measure()
            with self._count_lock:
                self._written -= before
                self._space = space
                self._measured_at = begun_at

    def _is_fresh(self) -> bool:
        # Another thread may forget it in between.
        measured_at = self._measured_at
        return measured_at is not None and self._clock.monotonic() - measured_at < MAX_MEASUREMENT_AGE_SECONDS
