"""Downloads that other nodes run; actions on them are tested in `tests/cluster`."""

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any, cast

from support.clocks import ManualClock
from support.sample_downloads import sample_download

from downloadd.errors import StoreUnavailableError
from downloadd.manager.other_nodes import OtherNodes
from downloadd.records.hints import NoHints, Topic
from downloadd.states import State

ROW = sample_download(1, state=State.DOWNLOADING)


class NamedRuns:
    """Runs of the node `beta`; the first question is refused."""

    def __init__(self, *ids: str) -> None:
        self.ids = ids
        self.asked: list[Sequence[str]] = []

    async def nodes(self, ids: Sequence[str]) -> Mapping[str, str]:
        self.asked.append(ids)
        if len(self.asked) == 1:
            raise StoreUnavailableError("the server is away")
        return dict.fromkeys(self.ids, "beta")


class CollectedHints(NoHints):
    """Hints that were sent."""

    def __init__(self) -> None:
        self.sent: list[tuple[Topic, Sequence[str]]] = []

    def send(self, topic: Topic, ids: Sequence[str] = ()) -> None:
        self.sent.append((topic, ids))


def make(runs: NamedRuns, hints: CollectedHints, *, node: str = "alpha", is_shared: bool = True) -> OtherNodes:
    records = SimpleNamespace(is_shared=is_shared, runs=runs, hints=hints)
    return OtherNodes(cast(Any, records), ManualClock(), node=node)


async def test_a_run_of_another_node_gets_a_hint_also_after_an_outage() -> None:
    runs, hints = NamedRuns(ROW.id), CollectedHints()
    assert await make(runs, hints).hint(ROW)
    assert hints.sent == [(Topic.DESIRED, [ROW.id])]


async def test_a_run_here_and_one_that_nobody_holds_get_none() -> None:
    for ids, node in (((ROW.id,), "beta"), ((), "alpha")):
        hints = CollectedHints()
        assert not await make(NamedRuns(*ids), hints, node=node).hint(ROW)
        assert hints.sent == []


async def test_nothing_is_asked_about_a_download_that_waits_or_of_a_store_of_one_node() -> None:
    runs = NamedRuns(ROW.id)
    assert not await make(runs, CollectedHints()).runs(sample_download(2, state=State.QUEUED))
    assert not await make(runs, CollectedHints(), is_shared=False).runs(ROW)
    assert runs.asked == []
