"""How much directories hold: counted on disk when it is first asked, kept up to date from then on."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from downloadd.clock import Clock
from downloadd.directory_settings import DirectorySettings, Quota
from downloadd.errors import InsufficientStorageError

MAX_COUNT_AGE_SECONDS: Final = 5.0
"""How long a count is believed when something is refused by it: somebody may have made room by hand."""


class Quotas:
    """Keeps directories within their quotas. Its methods may count, so they belong in threads; any may call.

    Every open part is charged with the length that it is going to have, where that is known, so that two which do not
    fit together are not both begun. What is closed counts as it lies on disk.

    Args:
        directory_settings: those of a directory, as they are now.
        count_bytes: bytes of the files below a directory, without those at the paths given.
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
        # Held while counting too: what is counted must not move meanwhile.
        self._lock = threading.RLock()
        self._open_charges: set[QuotaCharge] = set()
        self._closed_bytes: dict[str, int] = {}
        self._counted_at: dict[str, float] = {}
        self._publishing = 0

    def charge(self, directory: str, name: str) -> "QuotaCharge":
        """The account of a part that is about to be opened."""
        return QuotaCharge(self, directory, name)

    def limits(self, directory: str) -> tuple[Quota, ...]:
        """The quotas that hold in a directory."""
        return self._directory_settings(directory).quotas

    def used(self, directory: str) -> int:
        """Bytes that count towards the quota of a directory."""
        with self._lock:
            return self._used(directory)

    def subtract(self, directory: str, nbytes: int) -> None:
        """So many bytes of closed files in a directory are gone."""
        with self._lock:
            self._adjust(directory, -nbytes)

    def invalidate(self) -> None:
        """What was counted lies elsewhere now: it is counted anew when it is asked for."""
        with self._lock:
            self._closed_bytes.clear()

    @contextmanager
    def publishing(self) -> Iterator[None]:
        """While a file gets its name, a count could find it twice or not at all: nothing is counted anew."""
        with self._lock:
            self._publishing += 1
        try:
            yield
        finally:
            with self._lock:
                self._publishing -= 1

    def grow(self, charge: "QuotaCharge", size: int) -> None:
        """Charges a part with `size` bytes in all, if there is room for them.

        Raises:
            InsufficientStorageError: there is not; names the directory and its quota.
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
        """A part that lay closed on the disk, with `size` bytes, is open."""
        with self._lock:
            self._adjust(charge.directory, -size)
            charge.size = size
            self._open_charges.add(charge)

    def shrink(self, charge: "QuotaCharge") -> None:
        """A part is empty again."""
        with self._lock:
            charge.size = 0

    def close(self, charge: "QuotaCharge", size_on_disk: int) -> None:
        """A part is closed, and `kept` bytes of it are on the disk."""
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
                f"{place} holds {used} bytes and may hold {quota.limit} (its quota); {more} more do not fit",
                permanent=True,
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
    """What one open part is charged with. Its methods may be called from any thread."""

    def __init__(self, quotas: Quotas, directory: str, name: str) -> None:
        self.quotas = quotas
        self.directory = directory
        self.path = f"{directory}/{name}" if directory else name
        self.size = 0

    @property
    def is_limited(self) -> bool:
        """Whether a quota holds for it."""
        return bool(self.quotas.limits(self.directory))

    def grow(self, size: int) -> None:
        """See `Quotas.grow`."""
        self.quotas.grow(self, size)

    def adopt(self, size: int) -> None:
        """See `Quotas.adopt`."""
        self.quotas.adopt(self, size)

    def shrink(self) -> None:
        """See `Quotas.shrink`."""
        self.quotas.shrink(self)

    def close(self, size_on_disk: int) -> None:
        """See `Quotas.close`."""
        self.quotas.close(self, size_on_disk)


def is_within(directory: str, around: str) -> bool:
    """Whether a directory is `around` or lies below it."""
    return not around or directory == around or directory.startswith(f"{around}/")
