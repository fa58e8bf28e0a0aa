"""Runs under way, and the present state of downloads that they change."""

import asyncio
from collections.abc import Iterator

from downloadd.download import Download, Snapshot
from downloadd.manager.dispatcher import Dispatcher
from downloadd.manager.rate_limit import DownloadLimiter
from downloadd.manager.run import Run, StopReason
from downloadd.manager.run_restart import RestartRequest
from downloadd.manager.space_queue import SpaceQueue
from downloadd.states import CLAIMED_FROM, RUNNING, State


class ActiveRun:
    """A run with the parts that are needed to control and supervise it.

    Attributes:
        run: the run.
        limiter: its speed limits.
        task: the task that performs it; None before.
        is_ended: True after its end, also if it was aborted and its task waits for something still.
        reported_state: the state that subscribers know, at first that before the claim.
        restarts: changes for which the run is stopped, and which are made before the next one begins.
    """

    __slots__ = ("_reported_bytes", "is_ended", "limiter", "reported_state", "restarts", "run", "task")

    def __init__(self, run: Run, limiter: DownloadLimiter) -> None:
        self.run = run
        self.limiter = limiter
        self.task: asyncio.Task[None] | None = None
        self.is_ended = False
        self.reported_state = CLAIMED_FROM[run.download.state]
        self.restarts: list[RestartRequest] = []
        self._reported_bytes = 0

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


class RunTable:
    """The runs under way, by the id of the download."""

    def __init__(self, dispatcher: Dispatcher, space: SpaceQueue) -> None:
        self._dispatcher = dispatcher
        self._space = space
        self._runs: dict[str, ActiveRun] = {}

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

    def stop(self, id: str, reason: StopReason) -> bool:
        """Stop the run of a download; return False if it has none."""
        active = self._runs.get(id)
        if active is None:
            return False
        active.run.stop(reason)
        return True

    def snapshot(self, row: Download) -> Snapshot:
        """Return the download as it is now: finer than its row while it runs, with a reason while it waits."""
        return self._live(row) or Snapshot(download=row, reason=self._reason(row))

    def snapshot_without_reason(self, row: Download) -> Snapshot:
        """Return the download as it is now; a reason takes longer than the rest, and long lists do not show it."""
        return self._live(row) or Snapshot(download=row)

    def _live(self, row: Download) -> Snapshot | None:
        active = self._runs.get(row.id)
        return active.run.snapshot() if active is not None and row.state in RUNNING else None

    def _reason(self, row: Download) -> str | None:
        match row.state:
            case State.PAUSED:
                return "paused by a user"
            case State.QUEUED | State.RETRYING:
                return self._space.describe_wait(row.seq) or self._dispatcher.describe_wait(
                    row.progress.origin, row.progress.not_before, seq=row.seq
                )
            case _:
                return None
