"""Background tasks of import operations."""

import asyncio

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs
from support.import_stack import ImportStack, wait_for_state
from support.waiting import wait_until

from downloadd.errors import StorageError
from downloadd.import_operation import ImportOperation, ImportState
from downloadd.imports import tasks
from downloadd.imports.tasks import OperationTasks


@pytest.fixture
async def operation(stack: ImportStack) -> ImportOperation:
    operation = stack.operations.new("urls", "ann", ImportState.READING)
    await stack.operations.create(operation)
    return operation


async def test_a_task_gets_the_recorded_operation_and_ends(stack: ImportStack, operation: ImportOperation) -> None:
    running = OperationTasks(stack.operations)
    advanced = await stack.operations.advance(operation, ImportState.READING_USERS)
    received: asyncio.Future[ImportOperation] = asyncio.get_running_loop().create_future()

    async def work(current: ImportOperation) -> None:
        received.set_result(current)

    running.start(operation, work)
    assert len(running) == 1
    assert await received == advanced
    while len(running):
        await asyncio.sleep(0)


async def test_a_failure_of_the_storage_is_retried(
    stack: ImportStack, operation: ImportOperation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "RETRY_SECONDS", 0)
    running, tries, done = OperationTasks(stack.operations), 0, asyncio.Event()

    async def work(current: ImportOperation) -> None:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise StorageError("the disk failed")
        done.set()

    running.start(operation, work)
    await done.wait()
    assert tries == 3


async def test_an_unexpected_error_fails_the_operation(stack: ImportStack, operation: ImportOperation) -> None:
    async def work(current: ImportOperation) -> None:
        raise LookupError

    OperationTasks(stack.operations).start(operation, work)
    failed = await wait_for_state(stack, operation.id, ImportState.FAILED)
    assert failed.reason == "the server failed unexpectedly; its log has the details"


@pytest.mark.parametrize("close", [True, False], ids=["close", "cancel"])
async def test_cancelled_tasks_have_ended(stack: ImportStack, operation: ImportOperation, close: bool) -> None:
    running, started, ended = OperationTasks(stack.operations), asyncio.Event(), False

    async def work(current: ImportOperation) -> None:
        nonlocal ended
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended = True

    running.start(operation, work)
    await started.wait()
    await (running.close() if close else running.cancel(operation.id))
    assert ended
    await running.cancel(operation.id)


async def test_a_task_ends_when_another_driver_takes_over_its_operation(
    stack: ImportStack, operation: ImportOperation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "RETRY_SECONDS", 0)
    running, tries = OperationTasks(stack.operations), 0

    async def work(current: ImportOperation) -> None:
        nonlocal tries
        tries += 1
        assert await stack.operations.claim(operation, {ImportState.READING}) is not None
        raise StorageError("the next try would find the operation of another driver")

    with capture_logs() as lines:
        running.start(operation, work)
        await wait_until(lambda: len(running) == 0)
    assert tries == 1
    fenced = [line for line in lines if line["event"] == "import_driver_fenced"]
    assert [(line["operation"], line["epoch"]) for line in fenced] == [(operation.id, 0)]
    recorded = await stack.records.operations.get(operation.id)
    assert recorded == replace(operation, epoch=1)


async def test_an_unexpected_error_of_a_fenced_task_does_not_fail_the_operation(
    stack: ImportStack, operation: ImportOperation
) -> None:
    running = OperationTasks(stack.operations)

    async def work(current: ImportOperation) -> None:
        assert await stack.operations.claim(operation, {ImportState.READING}) is not None
        raise LookupError

    running.start(operation, work)
    await wait_until(lambda: len(running) == 0)
    recorded = await stack.records.operations.get(operation.id)
    assert recorded == replace(operation, epoch=1)
