"""Live state of downloads that other nodes run."""

import asyncio
from collections import Counter
from collections.abc import Sequence

from support.clocks import ManualClock
from support.downloads import with_fields
from support.sample_downloads import sample_download

from downloadd.download import Desired, Snapshot
from downloadd.manager.live_runs import MAX_AGE_SECONDS, LiveRuns, apply_remote, describe_run
from downloadd.node import LiveRun, RemoteRun
from downloadd.records.nodes import SoleNode
from downloadd.states import State

ROW = sample_download(1, seq=7, epoch=3, state=State.STARTING, received=100)
RUN = LiveRun(seq=7, epoch=3, state=State.DOWNLOADING, received=500, total=900, speed=2.5, eta=160.0, connections=2)


class CountedNodes(SoleNode):
    """Nodes that report runs, and count the reads."""

    needs_heartbeats = True

    def __init__(self, clock: ManualClock, runs: Sequence[LiveRun]) -> None:
        super().__init__(clock)
        self.runs = runs
        self.reads = 0

    async def other_runs(self) -> Sequence[RemoteRun]:
        self.reads += 1
        await asyncio.sleep(0)
        return [RemoteRun(node="beta", run=run) for run in self.runs]


def test_a_run_is_shown_as_its_node_reported_it() -> None:
    shown = apply_remote(ROW, RemoteRun(node="beta", run=RUN), "alpha")
    row = shown.download
    assert (row.state, row.progress.received, row.progress.total) == (State.DOWNLOADING, 500, 900)
    assert (shown.node, shown.speed, shown.eta, shown.connections) == ("beta", 2.5, 160.0, 2)


def test_a_report_about_another_run_is_not_used() -> None:
    for remote in (None, RemoteRun(node="beta", run=RUN)):
        row = with_fields(ROW, epoch=4)
        assert apply_remote(row, remote, "gamma") == Snapshot(download=row, node="gamma")


def test_what_is_reported_is_shown_again() -> None:
    row = with_fields(ROW, state=State.DOWNLOADING, received=500, total=900, desired=Desired.PAUSE)
    snapshot = Snapshot(download=row, speed=2.5, eta=160.0, connections=2)
    run = describe_run(snapshot)
    assert (run.is_pausing, run.received) == (True, 500)
    assert apply_remote(row, RemoteRun(node="beta", run=run), None) == Snapshot(
        download=row, speed=2.5, eta=160.0, connections=2, node="beta"
    )


async def test_many_readers_cost_one_query_at_a_time() -> None:
    clock = ManualClock()
    nodes = CountedNodes(clock, [RUN])
    runs = LiveRuns(nodes, clock)
    for known in await asyncio.gather(*[runs.read() for _ in range(20)]):
        assert known[7].run == RUN
    clock.now += MAX_AGE_SECONDS / 2
    await runs.read()
    assert nodes.reads == 1
    nodes.runs = []
    clock.now += MAX_AGE_SECONDS
    assert await runs.read() == {}
    assert nodes.reads == 2


async def test_runs_of_others_are_counted_and_summed() -> None:
    clock = ManualClock()
    pausing = LiveRun(seq=8, epoch=1, state=State.DOWNLOADING, is_pausing=True, speed=1.5)
    runs = LiveRuns(CountedNodes(clock, [RUN, pausing]), clock)
    assert await runs.count() == Counter({State.DOWNLOADING: 1, State.PAUSED: 1})
    assert runs.speed == 4.0


async def test_a_node_alone_reads_nothing() -> None:
    clock = ManualClock()
    assert await LiveRuns(SoleNode(clock), clock).read() == {}
