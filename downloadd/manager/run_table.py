"""Runs under way, and the present state of downloads that they change."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from msgspec.structs import replace

from downloadd.download import Download, Snapshot
from downloadd.manager.dispatcher import Queue
from downloadd.manager.live_runs import LiveRuns, apply_remote, describe_run
from downloadd.manager.rate_limit import DownloadLimiter
from downloadd.manager.run import Run, StopReason
from downloadd.manager.run_restart import RestartRequest
from downloadd.manager.space_queue import SpaceQueue
from downloadd.node import LiveRun
from downloadd.records.runs import RunRecords
from downloadd.states import CLAIMED_FROM, RUNNING, WAITING, State, WaitNotice


class ActiveRun:
    """A run with the parts that are needed to control and supervise it.

    Attributes:
        run: the run.
        limiter: its speed limits.
        task: the task that performs it; None before.
        is_ended: True after its end, also if it was aborted and its task waits for something still.
        reported_state: the state that subscribers know, at first that before the claim; a finished one once the end is
            durable.
        restarts: changes for which the run is stopped, and which are made before the next one begins.
    """

    __slots__ = (
        "_reported_bytes",
        "_reported_upload",
        "is_ended",
        "limiter",
        "reported_state",
        "restarts",
        "run",
        "task",
    )

    def __init__(self, run: Run, limiter: DownloadLimiter) -> None:
        self.run = run
        self.limiter = limiter
        self.task: asyncio.Task[None] | None = None
        self.is_ended = False
        self.reported_state = CLAIMED_FROM[run.download.state]
        self.restarts: list[RestartRequest] = []
        self._reported_bytes = 0
        self._reported_upload: int | None = None

    def report_state(self) -> State:
        """Record that subscribers know the present state of the run; return the one that they knew before."""
        before, self.reported_state = self.reported_state, self.run.download.state
        return before

    def apply_amended(self, row: Download) -> None:
        """Apply what a user has changed in the row."""
        self.run.apply_amended(row)
        self.limiter.set_rate(row.control.speed_limit)

    def pop_received_bytes(self) -> int:
        """Return the bytes that origins have sent since the last call."""
        before, self._reported_bytes = self._reported_bytes, self.run.received_bytes
        return self._reported_bytes - before

    def has_sent_more(self) -> bool:
        """Return True if another machine has received bytes of the file since the last call."""
        before, self._reported_upload = self._reported_upload, self.run.uploaded_bytes
        return self._reported_upload not in {None, before}


class RunTable:
    """The runs under way, by the id of the download."""

    def __init__(self, queue: Queue, space: SpaceQueue, others: LiveRuns, records: RunRecords) -> None:
        self._queue = queue
        self._space = space
        self._others = others
        self._records = records
        self._runs: dict[str, ActiveRun] = {}
        self._settling: dict[str, ActiveRun] = {}

    def __len__(self) -> int:
        return len(self._runs)

    def __iter__(self) -> Iterator[ActiveRun]:
        return iter(self._runs.values())

    def get(self, id: str) -> ActiveRun | None:
        """Return the run of a download; None when it does not run."""
        return self._runs.get(id)

    def add(self, active: ActiveRun) -> None:
        """Add a run."""
        self._runs[active.run.download.id] = active

    def remove(self, id: str) -> None:
        """Remove the run of a download."""
        del self._runs[id]

    @contextmanager
    def settling(self, active: ActiveRun) -> Iterator[None]:
        """Keep what was reported of a run that was removed, while the block records what follows its end."""
        self._settling[active.run.download.id] = active
        try:
            yield
        finally:
            del self._settling[active.run.download.id]

    def record_end(self, row: Download) -> State | None:
        """Record that the end of a download is durable; its run is not reported any more.

        Returns:
            The state that subscribers know, if the end is that of a run.
        """
        active = self._runs.get(row.id) or self._settling.get(row.id)
        if active is None:
            return None
        before, active.reported_state = active.reported_state, row.state
        return before

    def stop(self, id: str, reason: StopReason) -> bool:
        """Stop the run of a download; return False if it has none."""
        active = self._runs.get(id)
        if active is None:
            return False
        active.run.stop(reason)
        return True

    async def snapshot(self, row: Download) -> Snapshot:
        """Return the download as it is now; see `snapshots`."""
        return (await self.snapshots((row,)))[0]

    async def snapshots(self, rows: Sequence[Download]) -> list[Snapshot]:
        """Return the downloads as they are now: finer than their rows while they run, with a reason while they wait."""
        waiting = [row for row in rows if row.state in WAITING and self._space.explain_wait(row.seq) is None]
        reasons: dict[str, WaitNotice] = {}
        if waiting:
            explained = await self._queue.explain_waits(waiting)
            reasons = {row.id: reason for row, reason in zip(waiting, explained, strict=True)}
        live = await self._read_live(rows)
        return [live.get(row.id) or self._snapshot(row, reasons.get(row.id)) for row in rows]

    async def snapshots_without_reasons(self, rows: Sequence[Download]) -> list[Snapshot]:
        """Return the downloads as they are now; reasons take longer than the rest, and long lists do not show them."""
        live = await self._read_live(rows)
        return [live.get(row.id) or Snapshot(download=row) for row in rows]

    def snapshot_of_run(self, active: ActiveRun) -> Snapshot:
        """Return a download that runs here as it is now."""
        return replace(active.run.snapshot(), node=self._others.node)

    def report(self) -> Sequence[LiveRun]:
        """Return what other nodes are told about the runs here."""
        return [describe_run(active.run.snapshot()) for active in self._runs.values()]

    async def _read_live(self, rows: Sequence[Download]) -> dict[str, Snapshot]:
        """Return the downloads among `rows` that run, here or on other nodes, by id."""
        running = [row for row in rows if row.state in RUNNING]
        own = {row.id: self.snapshot_of_run(active) for row in running if (active := self._runs.get(row.id))}
        elsewhere = [row for row in running if row.id not in own]
        if not elsewhere:
            return own
        reported = await self._others.read()
        # One that was claimed since the last heartbeat of its node is not reported yet.
        unknown = [row.id for row in elsewhere if row.seq not in reported]
        nodes = await self._records.nodes(unknown) if unknown else {}
        return own | {row.id: apply_remote(row, reported.get(row.seq), nodes.get(row.id)) for row in elsewhere}

    def _snapshot(self, row: Download, wait: WaitNotice | None) -> Snapshot:
        if row.state is State.PAUSED:
            return Snapshot(download=row, reason="paused by a user")
        if row.state in WAITING:
            wait = self._space.explain_wait(row.seq) or wait
        return Snapshot(download=row, reason=None if wait is None else wait.text, wait=wait)
