"""Live state of the downloads that other nodes run, read at most a few times a second however many ask."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from typing import Final

from msgspec.structs import replace

from downloadd.clock import Clock
from downloadd.download import Desired, Download, Snapshot
from downloadd.node import LiveRun, RemoteRun
from downloadd.records.nodes import NodeRecords
from downloadd.states import State

MAX_AGE_SECONDS: Final = 0.25
"""Seconds for which the runs that were read are used again."""
_NO_RUNS: Final[Mapping[int, RemoteRun]] = {}


class LiveRuns:
    """Runs of all other living nodes, as their last heartbeats reported them.

    Attributes:
        node: name of this node.
    """

    def __init__(self, records: NodeRecords, clock: Clock, *, node: str = "") -> None:
        """Read `records`; `node` is the name of this node."""
        self.node = node
        self._records = records
        self._clock = clock
        self._known = _NO_RUNS
        self._known_until = 0.0
        self._lock = asyncio.Lock()

    async def read(self) -> Mapping[int, RemoteRun]:
        """Return the runs of other nodes by `seq`.

        Raises:
            StoreUnavailableError: the records cannot be used at the moment.
        """
        if not self._records.needs_heartbeats:
            return _NO_RUNS
        if self._clock.monotonic() < self._known_until:
            return self._known
        async with self._lock:
            # Another caller may have read meanwhile.
            if self._clock.monotonic() >= self._known_until:
                runs = await self._records.other_runs()
                self._known = {remote.run.seq: remote for remote in runs}
                self._known_until = self._clock.monotonic() + MAX_AGE_SECONDS
            return self._known

    async def count(self) -> Counter[State]:
        """Return the number of runs of other nodes in each state; those that are being paused count as paused."""
        runs = (remote.run for remote in (await self.read()).values())
        return Counter(State.PAUSED if run.is_pausing else run.state for run in runs)

    @property
    def speed(self) -> float:
        """Return the bytes a second of all runs of other nodes together, as they were read last."""
        return sum(remote.run.speed or 0.0 for remote in self._known.values())


def describe_run(snapshot: Snapshot) -> LiveRun:
    """Return what a node reports about a run."""
    row = snapshot.download
    return LiveRun(
        seq=row.seq,
        epoch=row.epoch,
        state=row.state,
        is_pausing=row.control.desired is Desired.PAUSE,
        received=row.progress.received,
        total=row.progress.total,
        speed=snapshot.speed,
        eta=snapshot.eta,
        connections=snapshot.connections,
    )


def apply_remote(row: Download, remote: RemoteRun | None, node: str | None) -> Snapshot:
    """Return a running download of another node as that reported it, if the report is about the run of the row.

    `node` is the name of the node that holds it, as the records know it.
    """
    if remote is None or remote.run.epoch != row.epoch:
        return Snapshot(download=row, node=node)
    run = remote.run
    live = row.with_progress(received=max(run.received, row.progress.received), total=run.total)
    return Snapshot(
        download=replace(live, state=run.state),
        node=remote.node,
        speed=run.speed,
        eta=run.eta,
        connections=run.connections,
    )
