"""Construction of runs from claimed downloads."""

from collections.abc import Callable
from typing import Final

from downloadd.clock import Clock
from downloadd.config import DownloadsConfig
from downloadd.download import Download
from downloadd.manager.origin_monitor import OriginMonitor
from downloadd.manager.rate_limit import DownloadLimiter, TokenBucket
from downloadd.manager.run import Run
from downloadd.manager.run_table import ActiveRun, RunTable
from downloadd.manager.small_publications import SmallPublications
from downloadd.manager.speed_share import SpeedLimit
from downloadd.origin.cookies import CookieJar
from downloadd.records.protocol import Records
from downloadd.storage.destination import Destination
from downloadd.transfer.connection_slots import ConnectionSlots
from downloadd.transfer.present_files import PresentFiles
from downloadd.transfer.quota import NoQuota, ReceiveQuota
from downloadd.transfer.session import Session
from downloadd.transfer.speed_floor import SpeedPolicy

MAX_WRITES_PER_SECOND: Final = 500
"""Small writes a second that all runs together may cause."""
MAX_COOKIE_JARS: Final = 10_000
"""Downloads whose cookies are kept between their runs."""
MIN_FLUSH_SECONDS: Final = 0.25
"""Seconds; received bytes are not flushed more often by time."""


class RunFactory:
    """Makes runs; they share the speed limit over all downloads."""

    def __init__(
        self,
        *,
        records: Records,
        session: Session,
        destination: Destination,
        clock: Clock,
        slots: ConnectionSlots,
        origins: OriginMonitor,
        runs: RunTable,
        config: DownloadsConfig,
        keeps_parts: bool,
        small_files: SmallPublications,
        present_files: PresentFiles,
        speed_limit: SpeedLimit,
        speed_policy: SpeedPolicy | None = None,
        pop_takeover: Callable[[int], bool],
        quota_of: Callable[[Download], ReceiveQuota] = lambda download: NoQuota(),
    ) -> None:
        """Make a factory.

        With `keeps_parts`, failed downloads keep their part files. `speed_limit` is the one over all downloads.
        `pop_takeover` says if another process may still write to the part file of a claimed download, and `quota_of`
        returns the quotas for a run of it.
        """
        self._records = records
        self._session = session
        self._destination = destination
        self._clock = clock
        self._slots = slots
        self._origins = origins
        self._runs = runs
        self._config = config
        self._keeps_parts = keeps_parts
        self._small_files = small_files
        self._present_files = present_files
        self._speed_limit = speed_limit
        self._speed_policy = speed_policy or SpeedPolicy()
        self._pop_takeover = pop_takeover
        self._quota_of = quota_of
        # By id, the download that ran last at the end.
        self._cookies: dict[str, CookieJar] = {}

    def configure(self, config: DownloadsConfig) -> None:
        """Set the shared speed limit, and the settings of runs that are made from now on."""
        self._config = config
        self._speed_limit.limit = config.speed_limit

    async def close(self) -> None:
        """Cancel the publication of small files, after all runs have ended."""
        await self._small_files.close()

    def make(
        self, download: Download, *, on_change: Callable[[Run], None], on_received: Callable[[Run], None]
    ) -> ActiveRun:
        """Return a run that has not begun; it calls `on_change` and `on_received`, see `Run`."""
        limiter = DownloadLimiter(TokenBucket(download.control.speed_limit), self._speed_limit.bucket)
        run = Run(
            download,
            records=self._records,
            session=self._session,
            cookies=self._cookies_of(download.id),
            destination=self._destination,
            clock=self._clock,
            limiter=limiter,
            set_speed_limit=limiter.set_rate,
            flush_interval=self._flush_interval,
            config=self._config,
            keeps_parts=self._keeps_parts,
            slots=self._slots,
            origins=self._origins,
            small_files=self._small_files,
            present_files=self._present_files,
            speed_policy=self._speed_policy,
            quota=self._quota_of(download),
            on_change=on_change,
            on_received=on_received,
            is_takeover=self._pop_takeover(download.seq),
        )
        return ActiveRun(run, limiter)

    def forget(self, id: str) -> None:
        """Forget the cookies of a download that has ended."""
        self._cookies.pop(id, None)

    def _cookies_of(self, id: str) -> CookieJar:
        cookies = self._cookies.pop(id, None)
        if cookies is None:
            cookies = self._session.make_cookie_jar()
        self._cookies[id] = cookies
        if len(self._cookies) > MAX_COOKIE_JARS:
            del self._cookies[next(iter(self._cookies))]
        return cookies

    def _flush_interval(self) -> float:
        return max(MIN_FLUSH_SECONDS, len(self._runs) / MAX_WRITES_PER_SECOND)
