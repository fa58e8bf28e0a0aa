"""Quotas of users: their limits in the queue, the bytes of a day, and the bytes that their files hold."""

import asyncio
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Final, Self

import structlog
from msgspec.structs import replace

from downloadd.clock import Clock
from downloadd.download import Download
from downloadd.errors import DayQuotaPendingError, DownloadError, UserQuotaError
from downloadd.instants import format_instant
from downloadd.local_days import LocalDay
from downloadd.manager.day_meter import DayMeter, day_before
from downloadd.manager.dispatcher import Queue
from downloadd.manager.stored_meter import StoredMeter, size_on_disk
from downloadd.manager.tasks import TaskSet
from downloadd.manager.user_slots import UserHold
from downloadd.records.user_days import UserDays
from downloadd.sizes import format_rounded_size
from downloadd.transfer.quota import NoQuota, ReceiveQuota
from downloadd.user_quota import DayUse, QuotaUse, UserQuota, UserQuotaUse

log = structlog.get_logger()

MAX_CHECK_SECONDS: Final = 30.0
"""Seconds between two looks at the clock at most, because it may be set."""
MIN_CHECK_SECONDS: Final = 0.05
"""Seconds between two looks at least: a timer may end just before its time."""
SHARED_CHECK_SECONDS: Final = 1.0
"""Seconds between two reads of what other nodes have received."""
MAX_UNANNOUNCED_BYTES: Final = 1 << 20
"""Bytes that are received at once of a file whose length is unknown, if its user has a quota for stored bytes."""
KEEP_DAYS: Final = 7
"""Days that the records keep beside the present one."""


class UserQuotas:
    """Applies the quotas of users. Opens with `async with`, before downloads start.

    Attributes:
        days: the bytes that users have received today.
        stored: the bytes that their files hold.
    """

    def __init__(
        self,
        queue: Queue,
        quotas: Mapping[str, UserQuota],
        *,
        records: UserDays,
        stored: StoredMeter,
        clock: Clock,
        is_shared: bool,
    ) -> None:
        """Make the quotas.

        Args:
            queue: holds back the downloads of users who may start none.
            quotas: those of users, by their ids.
            records: what users have received, also before a restart.
            stored: counts what their files hold.
            clock: the clock.
            is_shared: other nodes write to the records too.
        """
        self._queue = queue
        self._records = records
        self._clock = clock
        self._is_shared = is_shared
        self._tasks = TaskSet()
        self._configured = asyncio.Event()
        self._read_days: Mapping[str, str] = {}
        self._held: Mapping[str, LocalDay] = {}
        self.days = DayMeter(clock, records.note)
        self.stored = stored
        self.configure(quotas)

    async def __aenter__(self) -> Self:
        """Read what users have received today, and hold back those who may receive no more."""
        await self._refresh()
        self._tasks.spawn(self._watch())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Apply nothing any more."""
        await self._tasks.cancel()

    def configure(self, quotas: Mapping[str, UserQuota]) -> None:
        """Replace the quotas at once; running downloads continue, as far as they may."""
        runs = {user: quota.max_concurrent for user, quota in quotas.items() if quota.max_concurrent is not None}
        limits = self._queue.limits
        if runs != limits.runs_by_user:
            self._queue.change_limits(replace(limits, runs_by_user=runs))
        self._users = tuple(user for user, quota in quotas.items() if quota != UserQuota(time_zone=quota.time_zone))
        self.days.configure(quotas)
        self.stored.configure(quotas)
        self.hold_exhausted()
        self._configured.set()

    def of_run(self, download: Download) -> ReceiveQuota:
        """Return the quota of a new run."""
        user = download.user
        has_quota = self.days.limit(user) is not None or self.stored.limit(user) is not None
        return RunQuota(self, download) if has_quota else NoQuota()

    async def check_request(self, download: Download) -> None:
        """Return if a requested download may fit into the stored bytes of its user, by its size if that is known.

        Raises:
            UserQuotaError: it does not.
        """
        await self.stored.require(download.user, max(1, download.request.expected_size or 1))

    async def use_of(self, user: str, *, is_fresh: bool = True) -> UserQuotaUse:
        """Return the use of the quotas of a user; the files are counted anew if the count `is_fresh`."""
        runs, day, stored = self._queue.limits.runs_by_user.get(user), self.days.limit(user), self.stored.limit(user)
        if stored is not None and is_fresh:
            await self.stored.refresh(user)
        return UserQuotaUse(
            user=user,
            max_concurrent=None if runs is None else QuotaUse(used=self._queue.count_running(user), limit=runs),
            bytes_per_day=None
            if day is None
            else DayUse(used=self.days.used(user), limit=day, ends=int(self.days.day(user).end)),
            stored_bytes=None if stored is None else QuotaUse(used=self.stored.known(user), limit=stored),
        )

    async def uses(self) -> Sequence[UserQuotaUse]:
        """Return the use of all users with a quota, with files as they were counted last."""
        return [await self.use_of(user, is_fresh=False) for user in self._users]

    def hold_exhausted(self) -> None:
        """Hold back the downloads of users who may receive nothing more today, and of no others."""
        held = self.days.exhausted()
        if held == self._held:
            return
        self._held = held
        for user in held:
            log.info("user_held_for_today", user=user, received=self.days.used(user), limit=self.days.limit(user))
        self._queue.hold_users({user: self._make_hold(user, day) for user, day in held.items()})

    def describe_day(self, user: str) -> str:
        """Return how much a user with a quota has received today, in words."""
        received, limit = self.days.used(user), self.days.limit(user) or 0
        return (
            f"{user} has received {format_rounded_size(received)} of the {format_rounded_size(limit)} of today "
            "(bytes_per_day in [[users]])"
        )

    def _make_hold(self, user: str, day: LocalDay) -> UserHold:
        return UserHold(
            text=f"{self.describe_day(user)}; it goes on at {format_instant(day.end)}",
            until=self._clock.monotonic() + day.end - self._clock.wall(),
        )

    async def _watch(self) -> None:
        while True:
            self._configured.clear()
            try:
                async with asyncio.timeout(self._seconds_to_check()):
                    await self._configured.wait()
            except TimeoutError:
                pass
            await self._refresh()

    async def _refresh(self) -> None:
        """Read what other processes have received, if that may have changed, and hold back users by it."""
        days = {user: day.name for user, day in self.days.today.items()}
        try:
            if days and (self._is_shared or days != self._read_days):
                self.days.set_others(days, await self._records.others(days))
            if days and days != self._read_days:
                await self._records.forget(day_before(min(days.values()), KEEP_DAYS))
                self._read_days = days
        except DownloadError as error:
            # The records log that they are unavailable; the next check tries again.
            log.debug("user_days_not_read", detail=error.detail)
        self.hold_exhausted()

    def _seconds_to_check(self) -> float | None:
        ends = [day.end for day in self.days.today.values()]
        if not ends:
            return None
        most = SHARED_CHECK_SECONDS if self._is_shared else MAX_CHECK_SECONDS
        return min(max(min(ends) - self._clock.wall(), MIN_CHECK_SECONDS), most)


class RunQuota:
    """`ReceiveQuota` of a run whose user has a quota for a day or for stored bytes."""

    def __init__(self, quotas: UserQuotas, download: Download) -> None:
        self._quotas = quotas
        self._download = download
        self._user = download.user
        self._is_announced = False
        quotas.stored.begin(download)

    async def announce(self, total: int, *, missing: int, is_resumable: bool) -> None:
        """Accept the announced length of a file; see `ReceiveQuota.announce`.

        One that can be continued on the next day begins on this one. Another one begins on a day on which it fits.
        """
        days, user = self._quotas.days, self._user
        await self._quotas.stored.charge(user, self._download.id, total)
        self._is_announced = True
        limit = days.limit(user)
        if limit is None or is_resumable or missing <= limit - days.used(user):
            return
        size = format_rounded_size(missing)
        if missing > limit:
            raise UserQuotaError(
                f"{size} are missing, the origin cannot continue them on another day, and {user} may receive "
                f"{format_rounded_size(limit)} in one (bytes_per_day in [[users]])"
            )
        raise DayQuotaPendingError(
            f"{self._quotas.describe_day(user)}; {size} more do not fit, and the origin cannot continue them tomorrow",
            limit=limit,
            until=days.day(user).end,
        )

    async def allow(self, max_bytes: int, *, size: int) -> int:
        """Return how many bytes may be received now; see `ReceiveQuota.allow`."""
        days, user = self._quotas.days, self._user
        max_bytes = await self._fit(max_bytes, size)
        limit = days.limit(user)
        if limit is None:
            return max_bytes
        left = limit - days.used(user)
        if left > 0:
            return min(max_bytes, left)
        self._quotas.hold_exhausted()
        raise DayQuotaPendingError(self._quotas.describe_day(user), limit=limit)

    def add(self, nbytes: int) -> None:
        """Count received bytes."""
        self._quotas.days.add(self._user, nbytes)

    def end(self, download: Download | None) -> None:
        """Note what the run has left on the disk; see `ReceiveQuota.end`."""
        self._quotas.stored.end(self._download, size_on_disk(download))

    async def _fit(self, max_bytes: int, size: int) -> int:
        """Return how many bytes may be stored after `size` of a file, whose length may be unknown."""
        stored, user = self._quotas.stored, self._user
        if self._is_announced or stored.limit(user) is None:
            return max_bytes
        await stored.charge(user, self._download.id, size + 1)
        return min(max_bytes, MAX_UNANNOUNCED_BYTES, 1 + stored.left(user))
