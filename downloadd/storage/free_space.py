"""Free space of a file system: kept free, announced by running downloads, and checked before bytes are written."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, NoReturn

import msgspec

from downloadd.clock import Clock
from downloadd.errors import InsufficientStorageError, SpacePendingError
from downloadd.storage.disk_space import DiskSpace

MAX_MEASUREMENT_AGE_SECONDS: Final = 0.5
"""Seconds that a measurement is used; many running downloads share one."""


def missing_bytes(*, free: int, needed: int, min_free: int) -> int:
    """Return the bytes that are missing to keep `min_free` bytes free after `needed` more bytes are written."""
    return max(0, needed + min_free - free)


class UnannouncedSpace(msgspec.Struct, frozen=True, kw_only=True):
    """Space that no running download has announced."""

    available: int
    """Bytes that a further download may announce."""
    announced: int
    """Bytes that running downloads have announced and not written yet."""


class SpaceClaim:
    """Announcement of one part; `FreeSpace` changes it, under its lock.

    Attributes:
        nbytes: bytes that are announced and not written yet.
        is_withdrawn: True after the part was closed; a thread may still be announcing for it.
    """

    def __init__(self) -> None:
        self.nbytes = 0
        self.is_withdrawn = False


class PendingWrite:
    """Bytes that are being written.

    Attributes:
        written: bytes that were written; the writer sets it if it wrote fewer than it reserved.
    """

    def __init__(self, nbytes: int) -> None:
        self.written = nbytes


class FreeSpace:
    """Guard of `min_free` bytes of free space against concurrent writes; cheap to call often.

    Bytes that are being written, or were written since the last measurement, count as used. Bytes that a part has
    announced (`announce`) count as used for other announcements only: a part without an announcement, whose length is
    unknown, is stopped by `min_free` or by the disk. Any thread may call it; all methods but `has_space` and
    `try_announce` may measure the disk, so they belong in threads.

    Args:
        measure: measures the file system; a call to the operating system.
        min_free: bytes to keep free; with 0 only the operating system refuses writes.
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
        self._announced = 0

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

    def unannounced(self) -> UnannouncedSpace:
        """Measure the space that no running download has announced."""
        self._measure_again()
        with self._count_lock:
            return UnannouncedSpace(available=max(0, self._unannounced), announced=self._announced)

    def try_announce(self, claim: SpaceClaim, needed: int) -> bool:
        """Announce `needed` bytes in place of those of `claim`; return False if a measurement is necessary first."""
        return self._is_fresh() and self._announce(claim, needed)

    def announce(self, claim: SpaceClaim, needed: int, *, size: int) -> None:
        """Announce `needed` bytes, in place of those of `claim`, for a file that has `size` bytes in the end.

        Raises:
            SpacePendingError: they do not fit beside the other announcements.
            InsufficientStorageError: the disk is too small for the file.
        """
        if self.try_announce(claim, needed):
            return
        self._measure_again()
        if self._announce(claim, needed):
            return
        if missing_bytes(free=self._space.capacity, needed=size, min_free=self._min_free):
            raise InsufficientStorageError(
                f"the file has {size} bytes, but the disk has {self._space.capacity} in all, "
                f"and {self._min_free} must stay free (storage.min_free)",
                permanent=True,
            )
        with self._count_lock:
            available = max(0, self._unannounced + claim.nbytes)
        raise SpacePendingError(needed=needed, kept=size - needed, available=available)

    def withdraw(self, claim: SpaceClaim) -> None:
        """Withdraw what is left of an announcement."""
        with self._count_lock:
            self._announced -= claim.nbytes
            claim.nbytes = 0
            claim.is_withdrawn = True

    @contextmanager
    def reserve(self, needed: int, claim: SpaceClaim | None = None) -> Iterator[PendingWrite]:
        """Reserve space for bytes while they are being written; they are subtracted from the announcement.

        Raises:
            InsufficientStorageError: there is not enough.
        """
        claim = claim or SpaceClaim()
        covered = self._begin_write(claim, needed) if self._is_fresh() or not self._min_free else None
        if covered is None:
            self._measure_again()
            covered = self._begin_write(claim, needed)
            if covered is None:
                self._raise_insufficient(needed)
        write = PendingWrite(needed)
        try:
            yield write
        finally:
            with self._count_lock:
                self._reserved -= needed
                self._written += write.written
                self._subtract(claim, min(0, write.written - covered))

    def _begin_write(self, claim: SpaceClaim, needed: int) -> int | None:
        """Count bytes as being written; return how many of them were announced, or None if they do not fit."""
        with self._count_lock:
            # Checked and counted under one lock: concurrent writers must not use the same space.
            if self._min_free and self._missing(needed):
                return None
            covered = min(needed, claim.nbytes)
            self._subtract(claim, covered)
            self._reserved += needed
            return covered

    def _subtract(self, claim: SpaceClaim, nbytes: int) -> None:
        """Subtract bytes from an announcement, or add those that were not written; the caller holds the lock."""
        claim.nbytes -= nbytes
        self._announced -= nbytes

    def _announce(self, claim: SpaceClaim, needed: int) -> bool:
        with self._count_lock:
            more = needed - claim.nbytes
            if more > max(0, self._unannounced):
                return False
            if not claim.is_withdrawn:
                self._subtract(claim, -more)
            return True

    def _raise_insufficient(self, needed: int) -> NoReturn:
        permanent = bool(missing_bytes(free=self._space.capacity, needed=needed, min_free=self._min_free))
        raise InsufficientStorageError(
            f"{needed} bytes are needed, but {self._free} are free and {self._min_free} must stay free "
            "(storage.min_free)",
            permanent=permanent,
            missing=None if permanent else self._missing(needed),
        )

    @property
    def _free(self) -> int:
        return max(0, self._space.free - self._reserved - self._written)

    @property
    def _unannounced(self) -> int:
        return self._free - self._announced - self._min_free

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
