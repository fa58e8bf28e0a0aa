"""Check of free space before bytes are written."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from downloadd.clock import Clock
from downloadd.errors import InsufficientStorageError
from downloadd.storage.root import DiskSpace

MAX_MEASUREMENT_AGE_SECONDS: Final = 0.5
"""Seconds that a measurement is used; many running downloads share one."""


def missing_bytes(*, free: int, needed: int, min_free: int) -> int:
    """Return the bytes that are missing to keep `min_free` bytes free after `needed` more bytes are written."""
    return max(0, needed + min_free - free)


class FreeSpace:
    """Guard of `min_free` bytes of free space against concurrent writes; cheap to call often.

    Bytes that are being written, or were written since the last measurement, count as used. Any thread may call it;
    all methods but `has_space` may measure the disk, so they belong in threads.

    Args:
        measure: measures the file system; a call to the operating system.
        min_free: bytes to keep free; with 0 only the operating system refuses writes, and they are not counted.
        clock: for the age of the last measurement.
    """

    def __init__(self, measure: Callable[[], DiskSpace], *, min_free: int, clock: Clock) -> None:
        self._measure = measure
        self._min_free = min_free
        self._clock = clock
        # Two locks: a disk may take long to answer, and counting must not wait for it.
        self._measure_lock = threading.Lock()
        self._count_lock = threading.Lock()
        self._space = DiskSpace(free=0, capacity=0)
        self._measured_at: float | None = None
        self._reserved = 0
        self._written = 0

    def has_space(self, needed: int) -> bool:
        """Return True if `needed` more bytes leave `min_free` free by a measurement that is not too old."""
        return self._is_fresh() and not self._missing(needed)

    def check(self, needed: int) -> None:
        """Check that `needed` more bytes leave `min_free` bytes free.

        Raises:
            InsufficientStorageError: they do not.
        """
        if self.has_space(needed):
            return
        # Space may have been freed since, for example by a download that failed: measure again before a refusal.
        self._measure_again()
        if self._missing(needed):
            self._raise_insufficient(needed)

    def invalidate(self) -> None:
        """Discard the last measurement; the next check measures again."""
        self._measured_at = None

    @contextmanager
    def reserve(self, needed: int) -> Iterator[None]:
        """Reserve space for these bytes while they are being written.

        Raises:
            InsufficientStorageError: there is not enough.
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
        permanent = bool(missing_bytes(free=self._space.capacity, needed=needed, min_free=self._min_free))
        raise InsufficientStorageError(
            f"{needed} bytes are needed, but {self._free} are free and {self._min_free} must stay free (min_free)",
            permanent=permanent,
            missing=None if permanent else self._missing(needed),
        )

    @property
    def _free(self) -> int:
        return max(0, self._space.free - self._reserved - self._written)

    def _missing(self, needed: int) -> int:
        return missing_bytes(free=self._free, needed=needed, min_free=self._min_free)

    def _measure_again(self) -> None:
        requested_at = self._clock.monotonic()
        with self._measure_lock:
            measured_at = self._measured_at
            if measured_at is not None and measured_at > requested_at:
                # Another thread began a measurement since.
                return
            started_at = self._clock.monotonic()
            # Bytes that are written meanwhile may or may not be in the measurement: they stay counted.
            measured_bytes = self._written
            space = self._measure()
            with self._count_lock:
                self._written -= measured_bytes
                self._space = space
                self._measured_at = started_at

    def _is_fresh(self) -> bool:
        # Read once: another thread may invalidate it.
        measured_at = self._measured_at
        return measured_at is not None and self._clock.monotonic() - measured_at < MAX_MEASUREMENT_AGE_SECONDS
