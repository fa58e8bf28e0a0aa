"""What users of other nodes want of the downloads that run here."""

import asyncio
from collections.abc import Sequence

import structlog

from downloadd.download import Desired, Download
from downloadd.errors import DownloadError
from downloadd.manager.run import StopReason
from downloadd.manager.run_table import RunTable
from downloadd.records.hints import Topic
from downloadd.records.protocol import ActiveFilter
from downloadd.records.runs import HeldRun
from downloadd.records.store import Store

log = structlog.get_logger()

_REASONS = {Desired.CANCEL: StopReason.CANCEL, Desired.PAUSE: StopReason.PAUSE}


class DesiredStates:
    """Applies to the runs here what users of other nodes have written into their rows: after a hint, or without."""

    def __init__(self, records: Store, runs: RunTable) -> None:
        """Follow the hints about the runs of a table."""
        self._records = records
        self._runs = runs
        self._pending: dict[str, None] = {}
        self._wake = asyncio.Event()
        records.hints.subscribe(Topic.DESIRED, self._handle_hint)

    async def watch(self) -> None:
        """Read the rows that hints are about, until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            ids, self._pending = self._pending, {}
            await self._apply(list(ids))

    def apply_held(self, held: Sequence[HeldRun]) -> None:
        """Stop the runs that users want stopped, as the records name them; for hints that were lost."""
        for one in held:
            active = self._runs.get(one.id)
            if active is not None and active.run.download.epoch == one.epoch and one.desired in _REASONS:
                active.run.stop(_REASONS[one.desired])

    def _handle_hint(self, ids: Sequence[str]) -> None:
        all_ids = ids or [active.run.download.id for active in self._runs]
        self._pending |= {id: None for id in all_ids if self._runs.get(id) is not None}
        self._wake.set()

    async def _apply(self, ids: Sequence[str]) -> None:
        try:
            rows = await self._records.active(ActiveFilter(ids=ids))
        except DownloadError as error:
            # The next heartbeat finds it, or the next write of the run.
            log.warning("desired_state_not_read", downloads=len(ids), error=error.code, detail=error.detail)
            return
        for row in rows:
            self._apply_row(row)

    def _apply_row(self, row: Download) -> None:
        active = self._runs.get(row.id)
        if active is None:
            # It has just ended.
            return
        if active.run.download.epoch != row.epoch:
            # It is fenced, by a change that it cannot continue with for instance.
            if active.run.download.epoch < row.epoch:
                active.run.stop(StopReason.INTERRUPT)
            return
        active.apply_amended(row)
        reason = _REASONS.get(row.control.desired)
        if reason is not None:
            active.run.stop(reason)
