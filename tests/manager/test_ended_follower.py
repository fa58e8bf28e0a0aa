"""Follower of the history: each end is published once, in order, whoever wrote it."""

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from support.manager_stack import ManagerStack, open_stack
from support.waiting import CONDITION_TIMEOUT, wait_until

from downloadd.download import Download
from downloadd.download_request import DownloadRequest
from downloadd.errors import StoreUnavailableError
from downloadd.events import DownloadChanged, DownloadEnded, Event, EventBus
from downloadd.manager.ended_follower import EndedFollower
from downloadd.manager.notifier import Notifier
from downloadd.metrics import Metrics
from downloadd.records.database import DATABASE_FILE_NAME
from downloadd.records.protocol import HistoryFilter
from downloadd.records.sqlite import SqliteRecords
from downloadd.states import State

URL = "http://127.0.0.1:8099/a"


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[ManagerStack]:
    async with open_stack(tmp_path) as stack:
        stack.dispatcher.queue.set_suspension("held by the test")
        yield stack


@pytest.fixture
def published(stack: ManagerStack, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[DownloadEnded]]:
    """Yield the ends that are published."""
    ends: list[DownloadEnded] = []
    publish = stack.bus.publish

    def record(event: Event) -> None:
        if isinstance(event, DownloadEnded):
            ends.append(event)
        publish(event)

    monkeypatch.setattr(stack.bus, "publish", record)
    yield ends
    seqs = [end.download.result.ended_seq or 0 for end in ends]
    assert seqs == sorted(set(seqs))


async def start(stack: ManagerStack, count: int) -> list[str]:
    """Return the ids of new downloads, which wait."""
    request = DownloadRequest(url=URL, directory="d")
    return [row.id for row in (await stack.manager.start([request] * count, user="ann")).downloads]


def end_elsewhere(stack: ManagerStack, folder: Path, *ids: str) -> None:
    """End downloads by another connection, with the next numbers, which the records do not assign again."""
    with closing(sqlite3.connect(folder / "state" / DATABASE_FILE_NAME)) as connection, connection:
        for id in ids:
            assert isinstance(stack.records, SqliteRecords)
            stack.records._changes._last_ended_seq += 1
            connection.execute(
                "UPDATE downloads SET state = 'completed', epoch = 1, end_time = 1, ended_seq = ? WHERE id = ?",
                (stack.records._changes._last_ended_seq, id),
            )


def ids_of(ends: Sequence[DownloadEnded]) -> list[str]:
    return [end.download.id for end in ends]


async def test_an_end_that_another_connection_writes_is_told_to_all_readers_once_in_order(
    stack: ManagerStack, published: list[DownloadEnded], tmp_path: Path
) -> None:
    first, second, third, fourth = await start(stack, 4)
    await stack.manager.cancel(first)
    waiting = asyncio.create_task(stack.manager.wait(second, CONDITION_TIMEOUT))
    await wait_until(lambda: len(stack.runner._notifier.ends) == 1 and len(published) == 1)
    end_elsewhere(stack, tmp_path, second, third)
    with stack.bus.subscribe() as subscription:
        stack.follower.wake()
        await wait_until(lambda: len(published) == 3)
        assert [one.id.ended_seq for one in await subscription.receive()] == [2, 3]
    assert (await waiting).state is State.COMPLETED
    stack.follower.wake()
    await stack.manager.cancel(fourth)
    await wait_until(lambda: len(published) == 4)
    assert ids_of(published) == [first, second, third, fourth]
    assert [end.before for end in published] == [State.QUEUED, None, None, State.QUEUED]


async def test_an_own_end_after_one_of_others_waits_for_it(
    stack: ManagerStack, published: list[DownloadEnded], tmp_path: Path
) -> None:
    first, second, third = await start(stack, 3)
    end_elsewhere(stack, tmp_path, first)
    await stack.manager.cancel(second)
    await stack.manager.cancel(third)
    await wait_until(lambda: len(published) == 3)
    assert ids_of(published) == [first, second, third]
    assert [end.before for end in published] == [None, State.QUEUED, State.QUEUED]


async def test_the_ends_of_one_process_are_published_without_a_read_and_only_they_are_logged(
    stack: ManagerStack, published: list[DownloadEnded], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    *own, other = await start(stack, 4)
    reads = 0
    history = stack.records.history

    async def count(criteria: HistoryFilter) -> list[Download]:
        nonlocal reads
        reads += 1
        return await history(criteria)

    monkeypatch.setattr(stack.records, "history", count)
    with capture_logs() as lines:
        for id in own:
            await stack.manager.cancel(id)
        await wait_until(lambda: len(published) == 3)
        assert reads == 0
        end_elsewhere(stack, tmp_path, other)
        stack.follower.wake()
        await wait_until(lambda: len(published) == 4)
    assert [line["download_id"] for line in lines if line["event"] == "download_ended"] == own


async def test_an_end_that_was_retried_before_it_is_published_is_passed_over(
    stack: ManagerStack, published: list[DownloadEnded], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, third = await start(stack, 3)
    released = asyncio.Event()
    history = stack.records.history

    async def delay(criteria: HistoryFilter) -> list[Download]:
        await released.wait()
        return await history(criteria)

    monkeypatch.setattr(stack.records, "history", delay)
    end_elsewhere(stack, tmp_path, first)
    await stack.manager.cancel(second)
    await stack.manager.retry(second)
    released.set()
    await wait_until(lambda: len(published) == 1 and not stack.follower._own)
    released.clear()
    end_elsewhere(stack, tmp_path, third)
    for action in (stack.manager.cancel, stack.manager.retry, stack.manager.cancel):
        await action(second)
    released.set()
    await wait_until(lambda: len(published) == 3)
    assert ids_of(published) == [first, third, second]
    assert [end.before for end in published] == [None, None, State.QUEUED]


async def test_ends_during_a_read_are_published_after_it(
    stack: ManagerStack, published: list[DownloadEnded], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, third = await start(stack, 3)
    history, meanwhile = stack.records.history, iter([None])

    async def end_meanwhile(criteria: HistoryFilter) -> list[Download]:
        page = await history(criteria)
        for _ in meanwhile:
            await stack.manager.cancel(second)
            end_elsewhere(stack, tmp_path, third)
        return page

    monkeypatch.setattr(stack.records, "history", end_meanwhile)
    end_elsewhere(stack, tmp_path, first)
    stack.follower.wake()
    await wait_until(lambda: len(published) == 3)
    assert ids_of(published) == [first, second, third]
    assert [end.before for end in published] == [None, State.QUEUED, None]


async def test_ends_wait_for_a_history_that_is_unavailable(
    stack: ManagerStack, published: list[DownloadEnded], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = await start(stack, 2)
    history, failures = stack.records.history, iter([StoreUnavailableError("locked")])

    async def refuse_once(criteria: HistoryFilter) -> list[Download]:
        for failure in failures:
            raise failure
        return await history(criteria)

    monkeypatch.setattr(stack.records, "history", refuse_once)
    end_elsewhere(stack, tmp_path, first)
    await stack.manager.cancel(second)
    await wait_until(lambda: len(published) == 2)
    assert ids_of(published) == [first, second]


async def test_records_that_others_write_to_are_read_at_regular_times(
    stack: ManagerStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    past, row = await start(stack, 2)
    await stack.manager.cancel(past)
    monkeypatch.setattr(stack.records, "is_shared", True)
    bus = EventBus()
    follower = EndedFollower(stack.records, stack.runs, Notifier(bus, Metrics().downloads), poll_seconds=0.01)
    await follower.open()
    assert bus.position.ended_seq == 1
    following = asyncio.create_task(follower.follow())
    with bus.subscribe() as subscription:
        end_elsewhere(stack, tmp_path, row)
        async with asyncio.timeout(CONDITION_TIMEOUT):
            [end] = [one.event for one in await subscription.receive()]
    following.cancel()
    await asyncio.wait((following,))
    assert isinstance(end, DownloadEnded)
    assert end.download.id == row


async def test_an_end_is_published_before_what_a_later_operation_of_its_transaction_did_to_the_download(
    stack: ManagerStack, published: list[DownloadEnded]
) -> None:
    [id] = await start(stack, 1)
    with stack.bus.subscribe() as subscription:
        # Both wait for the writing thread, which then commits them together.
        assert isinstance(stack.records, SqliteRecords)
        holding = asyncio.create_task(stack.records.write(lambda cursor: time.sleep(0.2)))
        await asyncio.sleep(0)
        await asyncio.gather(stack.manager.cancel(id), stack.manager.retry(id))
        await holding
        await wait_until(lambda: len(published) == 1)
        events = [type(one.event) for one in await subscription.receive()]
    assert events == [DownloadEnded, DownloadChanged]
