"""Quota on the bytes of a transfer."""

import pytest

from downloadd.errors import UserQuotaError
from downloadd.transfer.quota import NoQuota, QuotaLimiter


class Limiter:
    """Limiter that grants half."""

    def __init__(self) -> None:
        self.released = 0

    async def acquire(self, max_bytes: int) -> int:
        return max_bytes // 2

    def release(self, nbytes: int) -> None:
        self.released += nbytes


class Left(NoQuota):
    """Quota that allows files of a size."""

    async def allow(self, max_bytes: int, *, size: int) -> int:
        if size >= 100:
            raise UserQuotaError("used up")
        return min(max_bytes, 100 - size)


async def test_no_more_is_acquired_than_the_quota_allows() -> None:
    size, limiter = 40, Limiter()
    limited = QuotaLimiter(limiter, Left(), lambda: size)
    assert await limited.acquire(1000) == 30
    limited.release(7)
    assert limiter.released == 7
    size = 100
    with pytest.raises(UserQuotaError):
        await limited.acquire(1000)


async def test_without_a_quota_the_limiter_decides() -> None:
    quota = NoQuota()
    await quota.announce(10**18, missing=10**18, is_resumable=False)
    quota.add(10**18)
    assert await QuotaLimiter(Limiter(), quota, lambda: 10**18).acquire(1000) == 500
