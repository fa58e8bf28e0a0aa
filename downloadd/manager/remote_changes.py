"""Publisher of the changes that other nodes make: what their users do, and the progress of what they run."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from downloadd.clock import Clock
from downloadd.download import Download, Snapshot
from downloadd.errors import DownloadError
from downloadd.manager.notifier import Notifier
from downloadd.manager.run_table import RunTable
from downloadd.records.hints import Topic
from downloadd.records.protocol import ActiveFilter
from downloadd.records.store import Store
from downloadd.states import FINISHED, RUNNING, State

PROGRESS_SECONDS: Final = 1.0
"""Seconds between two reads of the downloads that other nodes run."""
MIN_PAUSE_SECONDS: Final = 0.1
"""Seconds between two reads of changed downloads."""
MAX_ROWS: Final = 1_000
"""Downloads that one query reads."""
MAX_CHANGES: Final = 4_000
"""Changes that are published together, as many as may wait for a reader; it reads more by itself, from the records."""
REREAD_SECONDS: Final = 5.0
"""Seconds between two disconnections of all readers; each lets them read the whole list again."""
_MAX_KNOWN: Final = 10_000


class RemoteChanges:
    """Publishes active downloads that other nodes have changed, while there are readers.

    A hint names the changed downloads. Those that run on other nodes are also read once a second. Of very many changes,
    readers are disconnected and read all again, every few seconds at most. The ends of downloads are published by
    `EndedFollower`.
    """

    def __init__(self, records: Store, runs: RunTable, notifier: Notifier, clock: Clock) -> None:
        self._records = records
        self._runs = runs
        self._notifier = notifier
        self._clock = clock
        self._pending: dict[str, None] = {}
        self._is_all_pending = False
        self._is_reread_pending = False
        self._reread_at = float("-inf")
        self._wake = asyncio.Event()
        self._progress_read_at = 0.0
        # What readers know of downloads of other nodes: state and received bytes.
        self._known: dict[str, tuple[State, int]] = {}
        records.hints.subscribe(Topic.CHANGED, self._handle_changed)
        records.hints.subscribe(Topic.REMOVED, self._handle_removed)

    async def watch(self) -> None:
        """Publish until cancelled; there is nothing to publish of records that only this node can use."""
        if not self._records.is_shared:
            return
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(PROGRESS_SECONDS):
                    await self._wake.wait()
            self._wake.clear()
            ids, self._pending = list(self._pending), {}
            is_all, self._is_all_pending = self._is_all_pending, False
            if self._notifier.is_watched:
                # What is lost here is seen with the next change.
                with suppress(DownloadError):
                    await self._publish_hinted(ids, is_all=is_all)
                    await self._publish_progress()
            self._reread_if_due()
            await asyncio.sleep(MIN_PAUSE_SECONDS)

    async def _publish_hinted(self, ids: Sequence[str], *, is_all: bool) -> None:
        if len(ids) > MAX_CHANGES:
            self._is_reread_pending = True
        elif self._is_reread_pending:
            # Readers will read these changes too.
            return
        elif is_all:
            await self._publish_all()
        else:
            for start in range(0, len(ids), MAX_ROWS):
                part = ids[start : start + MAX_ROWS]
                await self._publish(ActiveFilter(ids=part), only_new=False)

    async def _publish_all(self) -> None:
        """Publish which of all active downloads are not as readers know them."""
        after = 0
        for _ in range(0, MAX_CHANGES, MAX_ROWS):
            rows = await self._publish(ActiveFilter(after_seq=after, limit=MAX_ROWS), only_new=True)
            if len(rows) < MAX_ROWS:
                return
            after = rows[-1].seq
        self._is_reread_pending = True

    def _reread_if_due(self) -> None:
        now = self._clock.monotonic()
        if self._is_reread_pending and now - self._reread_at >= REREAD_SECONDS:
            self._is_reread_pending, self._reread_at = False, now
            self._notifier.request_reread()

    async def _publish_progress(self) -> None:
        now = self._clock.monotonic()
        if now - self._progress_read_at < PROGRESS_SECONDS:
            return
        self._progress_read_at = now
        await self._publish(ActiveFilter(states=RUNNING, limit=MAX_ROWS), only_new=True)

    async def _publish(self, criteria: ActiveFilter, *, only_new: bool) -> Sequence[Download]:
        """Read and publish active downloads; those that readers know as they are are left out with `only_new`."""
        ends = self._notifier.published_ends
        rows = await self._records.active(criteria)
        elsewhere = [row for row in rows if row.state not in FINISHED and self._runs.get(row.id) is None]
        for snapshot in await self._runs.snapshots(elsewhere):
            id = snapshot.download.id
            if self._notifier.has_ended_since(id, ends):
                # Read before the end that was published meanwhile, or after a retry since.
                self._pending[id] = None
                self._wake.set()
            # Its run may have begun here meanwhile.
            elif self._runs.get(id) is None:
                self._publish_one(snapshot, only_new=only_new)
        return rows

    def _publish_one(self, snapshot: Snapshot, *, only_new: bool) -> None:
        row = snapshot.download
        present = row.state, row.progress.received
        known = self._known.pop(row.id, None)
        self._known[row.id] = present
        if len(self._known) > _MAX_KNOWN:
            del self._known[next(iter(self._known))]
        if known == present and only_new:
            return
        self._notifier.publish_changed(snapshot, before=_state_before(row, known))

    def _handle_changed(self, ids: Sequence[str]) -> None:
        if not self._notifier.is_watched:
            return
        if ids and len(self._pending) <= MAX_CHANGES:
            self._pending |= dict.fromkeys(ids)
        elif not ids:
            self._is_all_pending = True
        self._wake.set()

    def _handle_removed(self, ids: Sequence[str]) -> None:
        if ids:
            self._notifier.publish_removed(ids)
        elif self._notifier.is_watched:
            self._is_reread_pending = True
            self._wake.set()


def _state_before(row: Download, known: tuple[State, int] | None) -> State | None:
    """Return the state of a download before its change, as far as it is known here."""
    if known is not None:
        return known[0]
    if row.epoch == 0 and row.state is State.QUEUED:
        # A new one.
        return None
    return State.QUEUED if row.state is State.STARTING else row.state
