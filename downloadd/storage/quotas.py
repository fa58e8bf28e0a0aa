"""Use of directories that have a quota: counted on disk at first use and kept up to date from then on."""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Final

from downloadd.clock import Clock
from downloadd.directory_settings import DirectorySettings, Quota
from downloadd.errors import InsufficientStorageError

MAX_COUNT_AGE_SECONDS: Final = 5.0
"""Seconds after which a count is repeated before it refuses a write: a user may have deleted files by hand."""


class Quotas:
    """Accounts of all directories that have a quota. The methods may count on disk: call them in threads, in any one.

    An open part is charged with its final length if that is known, so that two downloads that do not fit together are
    not both started. A closed file counts with its size on disk.

    Args:
        directory_settings: returns the current settings of a directory.
        count_bytes: returns the bytes of the files below a directory, without those at the given paths.
        clock: for the age of a count.
    """

    def __init__(
        self,
        *,
        directory_settings: Callable[[str], DirectorySettings],
        count_bytes: Callable[[str, frozenset[str]], int],
        clock: Clock,
    ) -> None:
        self._directory_settings = directory_settings
        self._count_bytes = count_bytes
        self._clock = clock
        # Held while counting too: parts must not be opened or closed during a count.
        self._lock = threading.RLock()
        self._open_charges: set[QuotaCharge] = set()
        self._closed_bytes: dict[str, int] = {}
        self._counted_at: dict[str, float] = {}
        self._publishing = 0

    def charge(self, directory: str, name: str) -> "QuotaCharge":
        """Return the account of a part that is about to be opened."""
        return QuotaCharge(self, directory, name)

    def limits(self, directory: str) -> tuple[Quota, ...]:
        """Return the quotas that apply to a directory."""
        return self._directory_settings(directory).quotas

    def used(self, directory: str) -> int:
        """Return the bytes that count towards the quota of a directory."""
        with self._lock:
            return self._used(directory)

    def subtract(self, directory: str, nbytes: int) -> None:
        """Subtract the bytes of closed files that were removed from a directory."""
        with self._lock:
            self._adjust(directory, -nbytes)

    def invalidate(self) -> None:
        """Discard all counts, after the storage root has changed."""
        with self._lock:
            self._closed_bytes.clear()

    @contextmanager
    def publishing(self) -> Iterator[None]:
        """Suspend counts while a file is published: a count could find it twice or not at all."""
        with self._lock:
            self._publishing += 1
        try:
            yield
        finally:
            with self._lock:
                self._publishing -= 1

    @contextmanager
    def moving(self, charge: "QuotaCharge", directory: str) -> Iterator[None]:
        """Charge another directory with a part while it is published there; afterwards its own, if it is still open.

        Raises:
            InsufficientStorageError: a quota of that directory would be exceeded.
        """
        own = charge.directory
        with self._lock:
            for quota in self.limits(directory):
                if not is_within(own, quota.directory):
                    self._check(quota, charge.size)
            charge.directory = directory
        try:
            with self.publishing():
                yield
        finally:
            with self._lock:
                if charge in self._open_charges:
                    charge.directory = own

    def grow(self, charge: "QuotaCharge", size: int) -> None:
        """Charge a part with `size` bytes in all.

        Raises:
            InsufficientStorageError: a quota would be exceeded; the message names the directory and its quota.
        """
        with self._lock:
            self._open_charges.add(charge)
            more = size - charge.size
            if more <= 0:
                return
            for quota in self.limits(charge.directory):
                self._check(quota, more)
            charge.size = size

    def adopt(self, charge: "QuotaCharge", size: int) -> None:
        """Charge an existing file of `size` bytes, closed until now, as an open part."""
        with self._lock:
            self._adjust(charge.directory, -size)
            charge.size = size
            self._open_charges.add(charge)

    def close(self, charge: "QuotaCharge", size_on_disk: int) -> None:
        """Replace the charge of a closed part by its size on disk."""
        with self._lock:
            if charge in self._open_charges:
                self._open_charges.discard(charge)
                self._adjust(charge.directory, size_on_disk)

    def _check(self, quota: Quota, more: int) -> None:
        used = self._used(quota.directory)
        if used + more > quota.limit and self._may_recount(quota.directory):
            self._closed_bytes.pop(quota.directory)
            used = self._used(quota.directory)
        if used + more > quota.limit:
            place = f"the directory {quota.directory}" if quota.directory else "the storage root"
            raise InsufficientStorageError(
                f"{place} has {used} bytes of its quota of {quota.limit} in use; {more} more do not fit "
                "(quota in [[directories]])",
                permanent=True,
                missing=used + more - quota.limit if more <= quota.limit else None,
                directory=quota.directory,
            )

    def _may_recount(self, directory: str) -> bool:
        age = self._clock.monotonic() - self._counted_at[directory]
        return not self._publishing and age >= MAX_COUNT_AGE_SECONDS

    def _used(self, directory: str) -> int:
        inside = [charge for charge in self._open_charges if is_within(charge.directory, directory)]
        if directory not in self._closed_bytes:
            self._closed_bytes[directory] = self._count_bytes(directory, frozenset(charge.path for charge in inside))
            self._counted_at[directory] = self._clock.monotonic()
        return self._closed_bytes[directory] + sum(charge.size for charge in inside)

    def _adjust(self, directory: str, nbytes: int) -> None:
        for counted in self._closed_bytes:
            if is_within(directory, counted):
                self._closed_bytes[counted] = max(0, self._closed_bytes[counted] + nbytes)


class QuotaCharge:
    """Account of one open part. The methods may be called in any thread.

    Attributes:
        directory: the directory of the part.
        path: the path of the part below the root.
        size: bytes that the part is charged with.
    """

    def __init__(self, quotas: Quotas, directory: str, name: str) -> None:
        self._quotas = quotas
        self.directory = directory
        self.path = f"{directory}/{name}" if directory else name
        self.size = 0

    @property
    def is_limited(self) -> bool:
        """True if a quota applies to the part."""
        return bool(self._quotas.limits(self.directory))

    def grow(self, size: int) -> None:
        """Call `Quotas.grow`."""
        self._quotas.grow(self, size)

    def adopt(self, size: int) -> None:
        """Call `Quotas.adopt`."""
        self._quotas.adopt(self, size)

    def close(self, size_on_disk: int) -> None:
        """Call `Quotas.close`."""
        self._quotas.close(self, size_on_disk)

    def subtract(self, nbytes: int) -> None:
        """Subtract the bytes of a closed file that was removed from the directory of the part."""
        self._quotas.subtract(self.directory, nbytes)

    def publishing(self, directory: str) -> AbstractContextManager[None]:
        """Call `Quotas.publishing`, or `Quotas.moving` if the part is published in another directory."""
        return self._quotas.publishing() if directory == self.directory else self._quotas.moving(self, directory)


def is_within(directory: str, parent: str) -> bool:
    """Return True if a directory is `parent` or lies below it."""
    return not parent or directory == parent or directory.startswith(f"{parent}/")
