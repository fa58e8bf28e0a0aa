"""Import operations that no living node drives; takeovers between nodes are tested in `tests/cluster`."""

import pytest
from structlog.testing import capture_logs
from support.import_stack import ImportStack
from support.waiting import wait_until

from downloadd.errors import StoreUnavailableError
from downloadd.import_operation import ImportOperation, ImportState
from downloadd.imports.abandoned_imports import AbandonedImports


async def test_operations_that_wait_for_a_call_are_left_alone(stack: ImportStack) -> None:
    for number, state in enumerate([ImportState.READING, ImportState.UPLOADED, ImportState.READY, ImportState.DONE]):
        await stack.operations.create(stack.operations.new("urls", str(number), state))
    driven: list[ImportOperation] = []

    async def drive(operation: ImportOperation) -> None:
        driven.append(operation)

    async with AbandonedImports(stack.records.operations, stack.operations, drive=drive, interval=None):
        assert [(one.state, one.epoch) for one in driven] == [(ImportState.READING, 1)]


async def test_a_search_is_repeated_after_an_outage(stack: ImportStack, monkeypatch: pytest.MonkeyPatch) -> None:
    searches = 0

    async def search() -> None:
        nonlocal searches
        searches += 1
        if searches == 2:
            raise StoreUnavailableError("the server is away")

    async def drive(operation: ImportOperation) -> None: ...

    abandoned = AbandonedImports(stack.records.operations, stack.operations, drive=drive, interval=0.001)
    monkeypatch.setattr(abandoned, "search", search)
    with capture_logs() as logs:
        async with abandoned:
            await wait_until(lambda: searches > 3)
    assert [entry["event"] for entry in logs] == ["import_takeover_failed"]
