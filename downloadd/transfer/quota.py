"""Quota on the bytes that a transfer may receive."""

from collections.abc import Callable
from typing import Protocol

from downloadd.download import Download
from downloadd.transfer.receiver import RateLimiter


class ReceiveQuota(Protocol):
    """Quota of one run."""

    async def announce(self, total: int, *, missing: int, is_resumable: bool) -> None:
        """Accept the announced length of a file, of which `missing` bytes are to be received.

        Raises:
            UserQuotaError: it does not fit.
        """
        ...

    async def allow(self, max_bytes: int, *, size: int) -> int:
        """Return how many bytes may be received now, at least one and at most `max_bytes`, after `size` of the file.

        Raises:
            UserQuotaError: none may.
        """
        ...

    def add(self, nbytes: int) -> None:
        """Count received bytes."""
        ...

    def end(self, download: Download | None) -> None:
        """Note what a run has left on the disk, by its row; None if another run holds the download."""
        ...


class NoQuota:
    """`ReceiveQuota` without a limit."""

    async def announce(self, total: int, *, missing: int, is_resumable: bool) -> None:
        """Accept every length."""

    async def allow(self, max_bytes: int, *, size: int) -> int:
        """Return `max_bytes`."""
        return max_bytes

    def add(self, nbytes: int) -> None:
        """Count nothing."""

    def end(self, download: Download | None) -> None:
        """Note nothing."""


class QuotaLimiter:
    """`RateLimiter` that grants no bytes beyond a quota."""

    def __init__(self, limiter: RateLimiter, quota: ReceiveQuota, size: Callable[[], int]) -> None:
        """`size` returns the bytes of the file that were received so far."""
        self._limiter = limiter
        self._quota = quota
        self._size = size

    async def acquire(self, max_bytes: int) -> int:
        """Wait until bytes may be read; see `RateLimiter.acquire`.

        Raises:
            UserQuotaError: the quota is used up.
        """
        return await self._limiter.acquire(await self._quota.allow(max_bytes, size=self._size()))

    def release(self, nbytes: int) -> None:
        """Return acquired bytes that were not read."""
        self._limiter.release(nbytes)
