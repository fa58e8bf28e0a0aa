"""Changes by other nodes, by two managers over one database."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from support.node_stack import NodeStack, open_node
from support.origin.origin import Origin
from support.origin.scripted_response import ScriptedResponse
from support.waiting import CONDITION_TIMEOUT, wait_until

from downloadd.clock import SystemClock
from downloadd.download import Download
from downloadd.download_request import DownloadRequest
from downloadd.events import DownloadChanged, DownloadEnded, Event, HistoryRemoved, Subscription
from downloadd.manager import remote_changes
from downloadd.manager.history_removal import HistoryRemoval
from downloadd.manager.notifier import Notifier
from downloadd.records.hints import Topic
from downloadd.records.protocol import ActiveFilter
from downloadd.states import State

STALL_AFTER = 1000


class Reader:
    """Reader of the events of a node; keeps all that it has received."""

    def __init__(self, subscription: Subscription) -> None:
        self._subscription = subscription
        self.events: list[Event] = []

    async def read_until(self, *expected: tuple[State | None, State]) -> None:
        """Read until there were changes from one state to another, in this order."""
        found = 0
        async with asyncio.timeout(CONDITION_TIMEOUT):
            while found < len(expected):
                for one in await self._subscription.receive():
                    self.events.append(one.event)
                    if isinstance(one.event, DownloadChanged) and found < len(expected):
                        found += (one.event.before, one.event.snapshot.download.state) == expected[found]


@pytest.fixture
async def nodes(tmp_path: Path, database: str, origin: Origin) -> AsyncIterator[tuple[NodeStack, NodeStack]]:
    """Open a node that acts, and one that only watches."""
    origin.script("/slow", ScriptedResponse(size=5000, etag='"1"', stall_after=STALL_AFTER))
    async with open_node(tmp_path, database, "alpha") as acts, open_node(tmp_path, database, "beta") as watches:
        watches.suspend()
        hinted = asyncio.Event()
        watches.records.hints.subscribe(Topic.IMPORTS, lambda ids: hinted.set())
        acts.records.hints.send(Topic.IMPORTS, ["unknown"])
        # Before hints arrive, all may have changed, so that readers have to read again.
        await wait_until(hinted.is_set)
        yield acts, watches


async def test_what_users_do_on_another_node_is_published(
    nodes: tuple[NodeStack, NodeStack], origin: Origin, tmp_path: Path
) -> None:
    acts, watches = nodes
    acts.suspend()
    with watches.bus.subscribe() as subscription:
        reader = Reader(subscription)
        [row] = (
            await acts.manager.start([DownloadRequest(url=origin.url("/slow"), directory="d")], user="ann")
        ).downloads
        await reader.read_until((None, State.QUEUED))
        await acts.manager.pause(row.id)
        await reader.read_until((State.QUEUED, State.PAUSED))
        await acts.manager.resume(row.id)
        await reader.read_until((State.PAUSED, State.QUEUED))
        # Of many at once, their ids are not known.
        assert await acts.parts.queue.pause_all(lambda directory: True) == 1
        await reader.read_until((State.QUEUED, State.PAUSED))
        ended = await acts.manager.cancel(row.id)
        removal = HistoryRemoval(records=acts.records, destination=acts.destination, bus=acts.bus, clock=SystemClock())
        await removal.remove(ended, with_file=False)
        async with asyncio.timeout(CONDITION_TIMEOUT):
            while not any(isinstance(event, HistoryRemoved) for event in reader.events):
                reader.events += [one.event for one in await subscription.receive()]


async def test_changed_downloads_are_read_together(
    nodes: tuple[NodeStack, NodeStack], origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    acts, watches = nodes
    acts.suspend()
    queries: list[ActiveFilter] = []
    read = watches.records.active

    async def record(criteria: ActiveFilter, *others: Any) -> list[Download]:
        queries.append(criteria)
        return await read(criteria, *others)

    monkeypatch.setattr(watches.records, "active", record)
    with watches.bus.subscribe() as subscription:
        requests = [DownloadRequest(url=origin.url("/slow"), directory="d") for _ in range(250)]
        rows = (await acts.manager.start(requests, user="ann")).downloads
        reader = Reader(subscription)
        await reader.read_until(*[(None, State.QUEUED)] * len(rows))
    by_ids = [criteria.ids for criteria in queries if criteria.ids is not None]
    assert {id for ids in by_ids for id in ids} == {row.id for row in rows}
    # One message after the other may have a query of its own.
    assert len(by_ids) <= 3


async def test_of_more_changes_than_are_published_readers_read_all_again(
    nodes: tuple[NodeStack, NodeStack], origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    acts, watches = nodes
    acts.suspend()
    requests = [DownloadRequest(url=origin.url("/slow"), directory="d") for _ in range(5)]
    await acts.manager.start(requests, user="ann")
    monkeypatch.setattr(remote_changes, "MAX_ROWS", 2)
    for maximum, is_lost in ((6, False), (4, True)):
        monkeypatch.setattr(remote_changes, "MAX_CHANGES", maximum)
        with watches.bus.subscribe() as subscription:
            position = subscription.start
            acts.records.hints.send(Topic.CHANGED)
            received = 0
            async with asyncio.timeout(CONDITION_TIMEOUT):
                while received < 5 and not subscription.is_closed:
                    received += len(await subscription.receive())
            assert subscription.is_closed is is_lost
        if is_lost:
            with watches.bus.subscribe(position) as again:
                assert again.missed is None


async def test_a_removal_of_which_the_downloads_are_not_known_lets_readers_read_the_history(
    nodes: tuple[NodeStack, NodeStack],
) -> None:
    acts, watches = nodes
    with watches.bus.subscribe() as subscription:
        acts.records.hints.send(Topic.REMOVED)
        async with asyncio.timeout(CONDITION_TIMEOUT):
            assert await subscription.receive() == []


async def test_the_progress_of_runs_on_another_node_is_published(
    nodes: tuple[NodeStack, NodeStack], origin: Origin
) -> None:
    acts, watches = nodes
    with watches.bus.subscribe() as subscription:
        [row] = (
            await acts.manager.start([DownloadRequest(url=origin.url("/slow"), directory="d")], user="ann")
        ).downloads

        async def has_received() -> bool:
            return (await acts.manager.get(row.id)).download.progress.received == STALL_AFTER

        await wait_until(has_received)
        assert await acts.records.nodes.beat(acts.report, acts.parts.runs.report())
        seen: list[tuple[str | None, int]] = []
        async with asyncio.timeout(CONDITION_TIMEOUT):
            while ("alpha", STALL_AFTER) not in seen:
                events = [one.event for one in await subscription.receive()]
                snapshots = [event.snapshot for event in events if isinstance(event, DownloadChanged)]
                seen += [(one.node, one.download.progress.received) for one in snapshots]
        await acts.manager.cancel(row.id)


async def test_a_change_that_was_read_before_the_end_is_not_published_after_it(
    nodes: tuple[NodeStack, NodeStack], origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    acts, watches = nodes
    read, has_read, released = watches.records.active, asyncio.Event(), asyncio.Event()

    async def read_and_wait(criteria: ActiveFilter, *others: Any) -> list[Download]:
        rows = await read(criteria, *others)
        if any(row.state is State.DOWNLOADING for row in rows):
            has_read.set()
            await released.wait()
        return rows

    monkeypatch.setattr(watches.records, "active", read_and_wait)
    with watches.bus.subscribe() as subscription:
        request = DownloadRequest(url=origin.url("/slow"), directory="d")
        [row] = (await acts.manager.start([request], user="ann")).downloads
        async with asyncio.timeout(CONDITION_TIMEOUT):
            await has_read.wait()
            await acts.manager.cancel(row.id)
            events: list[Event] = []
            while not any(isinstance(event, DownloadEnded) for event in events):
                events += [one.event for one in await subscription.receive()]
            released.set()
            # The next event is that of another download.
            await acts.manager.start([DownloadRequest(url=origin.url("/slow"), directory="e")], user="ann")
            later = [one.event for one in await subscription.receive()]
    assert {event.snapshot.download.id for event in later if isinstance(event, DownloadChanged)} - {row.id}
    assert row.id not in {event.snapshot.download.id for event in later if isinstance(event, DownloadChanged)}


async def test_readers_are_disconnected_once_in_some_seconds(
    nodes: tuple[NodeStack, NodeStack], monkeypatch: pytest.MonkeyPatch
) -> None:
    acts, watches = nodes
    times: list[float] = []
    monkeypatch.setattr(remote_changes, "REREAD_SECONDS", 0.5)
    monkeypatch.setattr(Notifier, "request_reread", lambda self: times.append(SystemClock().monotonic()))
    with watches.bus.subscribe():
        async with asyncio.timeout(CONDITION_TIMEOUT):
            while len(times) < 2:
                acts.records.hints.send(Topic.REMOVED)
                await asyncio.sleep(0.05)
    assert times[1] - times[0] >= 0.5
