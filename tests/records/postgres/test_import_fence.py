"""Fence of import operations."""

import asyncio

import asyncpg
import pytest
from support.fake_imports import make_operation

from downloadd.import_operation import ImportState
from downloadd.records.import_protocol import ImportFencedError
from downloadd.records.postgres.import_fence import fenced
from downloadd.records.postgres.records import PostgresRecords


async def test_a_takeover_waits_for_a_write_of_the_driver_and_fences_the_next_one(
    stores: tuple[PostgresRecords, PostgresRecords],
) -> None:
    first, second = stores
    operation = make_operation()
    await first.imports.operations.create(operation)
    is_writing, go_on = asyncio.Event(), asyncio.Event()

    async def write(connection: asyncpg.Connection) -> str:
        is_writing.set()
        await go_on.wait()
        return "written"

    async with asyncio.TaskGroup() as group:
        writing = group.create_task(first.write(fenced(operation.driver, write)))
        await is_writing.wait()
        claiming = group.create_task(second.imports.operations.claim(operation.id, tuple(ImportState)))
        await asyncio.sleep(0.05)
        assert not claiming.done()
        go_on.set()
    assert writing.result() == "written"
    claimed = claiming.result()
    assert claimed is not None
    assert claimed.epoch == operation.epoch + 1
    with pytest.raises(ImportFencedError):
        await first.write(fenced(operation.driver, write))
