"""Operations that wait for a transaction."""

import asyncio
from collections.abc import Sequence
from typing import Any

import asyncpg
import pytest

from downloadd.records.postgres.operations import Operation, OperationQueue, Outcome
from downloadd.records.writer import Rejection


async def run(connection: asyncpg.Connection, items: Sequence[Any]) -> Sequence[Outcome]:
    return items


def operation(item: str, rows: int = 1, ids: str = "", *, is_alone: bool = False) -> Operation[Any]:
    future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    return Operation(run, item, future, rows=rows, ids=frozenset(ids), is_alone=is_alone)


def batches(*operations: Operation[Any], max_rows: int = 10) -> list[str]:
    queue = OperationQueue()
    for each in operations:
        queue.put(each)
    found = []
    while batch := queue.take(max_rows):
        found.append("".join(one.item for one in batch))
    return found


async def test_operations_share_a_transaction_up_to_a_number_of_rows() -> None:
    assert batches(operation("a", 6), operation("b", 3), operation("c", 9), operation("d")) == ["abc", "d"]


async def test_one_transaction_changes_a_download_by_one_operation() -> None:
    assert batches(operation("a", ids="xy"), operation("b", ids="z"), operation("c", ids="y")) == ["ab", "c"]


async def test_an_operation_that_names_no_downloads_is_alone() -> None:
    assert batches(operation("a"), operation("b", is_alone=True), operation("c")) == ["a", "b", "c"]


async def test_waiting_ends_with_an_operation_a_call_or_the_time() -> None:
    queue = OperationQueue()
    await queue.wait(0.001)
    async with asyncio.TaskGroup() as group:
        group.create_task(queue.wait(None))
        await asyncio.sleep(0)
        queue.wake()
    queue.put(operation("a"))
    await queue.wait(None)
    assert [each.item for each in queue.take_all()] == ["a"]


async def test_a_caller_that_was_cancelled_gets_no_result() -> None:
    first, second, third = (operation(name) for name in "abc")
    first.future.cancel()
    first.resolve(1)
    second.resolve(Rejection(LookupError()))
    third.refuse(LookupError())
    for each in (second, third):
        with pytest.raises(LookupError):
            await each.future
