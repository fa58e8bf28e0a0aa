"""Writing thread with group commit."""

import asyncio
import contextlib
import sqlite3
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs
from support.waiting import CONDITION_TIMEOUT

from downloadd.clock import SystemClock
from downloadd.errors import ShuttingDownError, StorageError, StoreUnavailableError
from downloadd.records.writer import Rejection, Writer


@asynccontextmanager
async def open_writer(folder: Path, commits: list[int] | None = None, **settings: Any) -> AsyncIterator[Writer]:
    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(folder / "a.db", isolation_level=None)
        connection.execute("CREATE TABLE IF NOT EXISTS t (x UNIQUE)")
        return connection

    def on_commit(rows: int, seconds: float) -> None:
        assert seconds >= 0
        if commits is not None:
            commits.append(rows)

    writer = Writer(connect, SystemClock(), on_commit, **settings)
    await writer.open()
    try:
        yield writer
    finally:
        await writer.close()


def insert(value: object) -> Any:
    return lambda cursor: cursor.execute("INSERT INTO t VALUES (?)", (value,)).rowcount


def values(folder: Path) -> list[object]:
    with contextlib.closing(sqlite3.connect(folder / "a.db")) as connection:
        return [row[0] for row in connection.execute("SELECT x FROM t ORDER BY rowid")]


@asynccontextmanager
async def blocked(writer: Writer) -> AsyncIterator[None]:
    """Block the thread, so that the operations of the block are queued together."""
    entered, release = threading.Event(), threading.Event()

    def block(cursor: sqlite3.Cursor) -> None:
        entered.set()
        release.wait(CONDITION_TIMEOUT)

    blocking = asyncio.create_task(writer.run(block))
    assert await asyncio.to_thread(entered.wait, CONDITION_TIMEOUT)
    try:
        yield
    finally:
        release.set()
        await blocking


async def test_an_operation_is_durable_when_it_returns(tmp_path: Path) -> None:
    async with open_writer(tmp_path) as writer:
        assert await writer.run(insert(1)) == 1
        assert values(tmp_path) == [1]


async def test_queued_operations_are_committed_together_in_order(tmp_path: Path) -> None:
    commits: list[int] = []
    async with open_writer(tmp_path, commits) as writer, asyncio.TaskGroup() as group, blocked(writer):
        for number in range(100):
            group.create_task(writer.run(insert(number), rows=2))
        await asyncio.sleep(0)
    assert values(tmp_path) == list(range(100))
    assert commits == [1, 200]


async def test_a_transaction_has_a_limited_number_of_rows(tmp_path: Path) -> None:
    commits: list[int] = []
    async with open_writer(tmp_path, commits) as writer, asyncio.TaskGroup() as group, blocked(writer):
        for number in range(4):
            group.create_task(writer.run(insert(number), rows=300))
        await asyncio.sleep(0)
    assert commits == [1, 600, 600]


async def test_a_failed_operation_does_not_undo_the_others(tmp_path: Path) -> None:
    async with open_writer(tmp_path) as writer:
        async with blocked(writer):
            tasks = [asyncio.create_task(writer.run(insert(value))) for value in (1, 1, 2)]
            await asyncio.sleep(0)
        first, second, third = await asyncio.gather(*tasks, return_exceptions=True)
    assert (first, third) == (1, 1)
    assert isinstance(second, StorageError)
    assert values(tmp_path) == [1, 2]


async def test_a_rejection_is_raised_and_the_transaction_stands(tmp_path: Path) -> None:
    async with open_writer(tmp_path) as writer:
        async with blocked(writer):
            inserting = asyncio.create_task(writer.run(insert(1)))
            rejected: asyncio.Task[None] = asyncio.create_task(writer.run(lambda cursor: Rejection(LookupError("no"))))
            await asyncio.sleep(0)
        with pytest.raises(LookupError):
            await rejected
        await inserting
    assert values(tmp_path) == [1]


async def test_only_operations_that_stand_count_as_committed(tmp_path: Path) -> None:
    commits: list[int] = []
    async with open_writer(tmp_path, commits) as writer:
        async with blocked(writer):
            tasks = [asyncio.create_task(writer.run(insert(value), rows=10)) for value in (1, 1, 2)]
            await asyncio.sleep(0)
        await asyncio.gather(*tasks, return_exceptions=True)
        with pytest.raises(LookupError):
            await writer.run(lambda cursor: Rejection(LookupError("no")))
    assert commits == [1, 20]


async def test_a_refused_transaction_is_not_reported_as_a_commit(tmp_path: Path) -> None:
    commits: list[int] = []
    async with open_writer(tmp_path, commits, lock_timeout=0.01) as writer:
        with contextlib.closing(sqlite3.connect(tmp_path / "a.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreUnavailableError):
                await writer.run(insert(1))
            other.execute("ROLLBACK")
        assert commits == []
        await writer.run(insert(2))
    assert commits == [1]


async def test_a_failed_check_refuses_every_operation(tmp_path: Path) -> None:
    available = False

    def check() -> None:
        if not available:
            raise StoreUnavailableError("moved")

    async with open_writer(tmp_path, check=check) as writer:
        with pytest.raises(StoreUnavailableError):
            await writer.run(insert(1))
        available = True
        await writer.run(insert(2))
    assert values(tmp_path) == [2]


async def test_a_lock_of_another_program_refuses_operations_and_is_logged_once(tmp_path: Path) -> None:
    async with open_writer(tmp_path, lock_timeout=0.01) as writer:
        with contextlib.closing(sqlite3.connect(tmp_path / "a.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with capture_logs() as lines:
                for _ in range(2):
                    with pytest.raises(StoreUnavailableError):
                        await writer.run(insert(1))
                other.execute("ROLLBACK")
                await writer.run(insert(2))
    assert [line["event"] for line in lines] == ["records_unavailable", "records_available"]
    assert values(tmp_path) == [2]


async def test_closing_finishes_queued_operations_and_refuses_later_ones(tmp_path: Path) -> None:
    async with open_writer(tmp_path) as writer:
        tasks = [asyncio.create_task(writer.run(insert(number))) for number in range(20)]
        await asyncio.sleep(0)
        await writer.close()
        assert await asyncio.gather(*tasks) == [1] * 20
        with pytest.raises(ShuttingDownError):
            await writer.run(insert(99))


async def test_a_failure_to_open_is_raised(tmp_path: Path) -> None:
    def connect() -> sqlite3.Connection:
        raise PermissionError("not allowed")

    writer = Writer(connect, SystemClock())
    with pytest.raises(PermissionError):
        await writer.open()
    await writer.close()


async def test_changes_are_known_before_the_callers_continue_and_after_they_are_durable(tmp_path: Path) -> None:
    seen: list[object] = []

    def take_changes() -> Any:
        stored = values(tmp_path)
        return lambda: seen.append(("known", stored))

    async with open_writer(tmp_path, take_changes=take_changes) as writer:
        await writer.run(insert(1))
        seen.append("continued")
    assert seen == [("known", [1]), "continued"]
