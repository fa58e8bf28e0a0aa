"""Supervision of runs: aborts those that do not move any more."""

import asyncio
from collections.abc import Callable, Iterable
from functools import partial
from typing import Final

import structlog
from msgspec import UNSET

from downloadd.clock import Clock
from downloadd.config import DownloadsConfig, HostConfig
from downloadd.download import Download, log_fields
from downloadd.errors import StorageError
from downloadd.manager import lifecycle
from downloadd.manager.durable_write import retry_forever
from downloadd.manager.run_table import ActiveRun, RunTable
from downloadd.manager.stall_detection import Activity, is_stalled, observe, select_wait_limit
from downloadd.records.protocol import Records

log = structlog.get_logger()

STALL_CHECK_SECONDS: Final = 5.0
"""Seconds between two checks of the runs."""


class StallMonitor:
    """Records stalled runs as failed and aborts them, so that their slots are free again."""

    def __init__(
        self,
        runs: RunTable,
        records: Records,
        clock: Clock,
        config: DownloadsConfig,
        hosts: Iterable[HostConfig] = (),
        *,
        abort: Callable[[ActiveRun, Download], None],
    ) -> None:
        """Make a monitor; `abort` ends a run with its recorded row."""
        self._abort_run = abort
        self._runs = runs
        self._records = records
        self._clock = clock
        self.configure(config, hosts)

    def configure(self, config: DownloadsConfig, hosts: Iterable[HostConfig] = ()) -> None:
        """Set the stall timeout for all runs, and the connect timeouts of hosts."""
        self._stall_timeout = config.stall_timeout
        self._connect_timeout = max(
            (host.connect_timeout for host in hosts if host.connect_timeout is not UNSET), default=None
        )

    async def watch(self) -> None:
        """Check all runs at regular times until cancelled."""
        activities: dict[str, Activity] = {}
        while True:
            await asyncio.sleep(STALL_CHECK_SECONDS)
            now = self._clock.monotonic()
            activities = {
                active.run.download.id: _observe(active, activities.get(active.run.download.id), now)
                for active in self._runs
            }
            for id, activity in activities.items():
                active = self._runs.get(id)
                if active is not None and self._is_stalled(active, activity, now):
                    await self._abort(active, seconds=now - activity.since)

    def _is_stalled(self, active: ActiveRun, activity: Activity, now: float) -> bool:
        download = active.run.download
        return is_stalled(
            activity,
            size=download.progress.total or active.run.received_bytes,
            wait_limit=select_wait_limit(
                activity.state,
                download.request.limits,
                stall_timeout=self._stall_timeout,
                connect_timeout=self._connect_timeout,
            ),
            now=now,
        )

    async def _abort(self, active: ActiveRun, *, seconds: float) -> None:
        download = active.run.download
        error = StorageError(f"nothing has moved for {seconds:.0f} s: the storage does not answer")
        log.error("run_stalled", state=download.state, detail=error.detail, **log_fields(download))
        # The run may still write to its part file: nothing can continue from it.
        row = lifecycle.mark_failed(lifecycle.reset_part(download), error, now=self._clock.wall())
        failed = await retry_forever(partial(self._records.save, row), "outcome_write_failed", **log_fields(row))
        if failed is not None and self._runs.get(row.id) is active:
            self._abort_run(active, failed)


def _observe(active: ActiveRun, before: Activity | None, now: float) -> Activity:
    run = active.run
    return observe(
        before,
        state=run.download.state,
        received_bytes=run.received_bytes,
        request_count=run.request_count,
        waits=active.limiter.is_waiting or run.is_waiting,
        now=now,
    )
