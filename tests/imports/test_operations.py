"""Changes of import operations."""

import pytest
from msgspec.structs import replace
from support.import_stack import ImportStack, content

from downloadd.events import ImportChanged
from downloadd.import_operation import ImportErrorCode, ImportState, is_operation_id
from downloadd.imports.refusal import ImportRefusedError
from downloadd.records.import_protocol import ImportFencedError


def test_a_new_operation_has_an_id_and_visible_names_only(stack: ImportStack) -> None:
    operation = stack.operations.new(
        "urls", "ann", ImportState.UPLOADED, name="a\u202eb\x00", content_type="text/\x07x"
    )
    assert is_operation_id(operation.id)
    assert (operation.name, operation.content_type) == ("ab", "text/x")
    assert operation.started_at == operation.updated_at == int(stack.clock.wall() * 1000)
    assert operation.id != stack.operations.new("urls", "ann", ImportState.UPLOADED).id


async def test_a_created_operation_is_recorded_and_published(stack: ImportStack) -> None:
    operation = stack.operations.new("urls", "ann", ImportState.UPLOADED)
    with stack.bus.subscribe() as events:
        await stack.operations.create(operation)
        [published] = await events.receive()
    assert published.event == ImportChanged(operation=operation)
    assert await stack.records.operations.get(operation.id) == operation


async def test_a_replaced_operation_loses_its_unread_file(stack: ImportStack) -> None:
    for state, kept in ((ImportState.UPLOADED, False), (ImportState.READY, False), (ImportState.READING, True)):
        earlier = stack.operations.new("urls", "ann", state)
        await stack.uploads.save(earlier.id, content(b"x"))
        await stack.operations.create(earlier)
        await stack.operations.create(stack.operations.new("urls", "ann", ImportState.DONE))
        assert stack.uploads.path(earlier.id).exists() is kept
        recorded = await stack.records.operations.get(earlier.id)
        assert recorded is not None
        assert not recorded.valid


async def test_an_operation_of_another_user_is_not_replaced(stack: ImportStack) -> None:
    first = stack.operations.new("urls", "ann", ImportState.UPLOADED)
    await stack.operations.create(first)
    await stack.operations.create(stack.operations.new("urls", "bob", ImportState.UPLOADED))
    assert await stack.records.operations.get(first.id) == first


async def test_a_new_state_is_recorded_counted_and_published(stack: ImportStack) -> None:
    operation = stack.operations.new("urls", "ann", ImportState.UPLOADED)
    await stack.operations.create(operation)
    stack.clock.now += 5
    with stack.bus.subscribe() as events:
        advanced = await stack.operations.advance(operation, ImportState.READING)
        [published] = await events.receive()
    assert published.event == ImportChanged(operation=advanced)
    assert stack.states == [ImportState.READING]
    assert (advanced.state, advanced.updated_at - operation.updated_at) == (ImportState.READING, 5000)
    assert await stack.operations.reload(operation) == advanced


async def test_a_failed_operation_has_its_reason_and_no_file(stack: ImportStack) -> None:
    operation = stack.operations.new("urls", "ann", ImportState.READING)
    await stack.uploads.save(operation.id, content(b"x"))
    await stack.operations.create(operation)
    await stack.operations.fail(operation, ImportRefusedError("reason", ImportErrorCode.FILE_TOO_LARGE))
    failed = await stack.operations.reload(operation)
    assert (failed.state, failed.reason, failed.error_code) == (
        ImportState.FAILED,
        "reason",
        ImportErrorCode.FILE_TOO_LARGE,
    )
    assert stack.stored() == []


async def test_only_an_operation_that_is_held_can_be_reloaded(stack: ImportStack) -> None:
    operation = stack.operations.new("urls", "ann", ImportState.NEW)
    with pytest.raises(ImportFencedError):
        await stack.operations.reload(operation)
    await stack.operations.create(operation)
    assert await stack.operations.reload(operation) == operation
    claimed = await stack.operations.claim(operation, {ImportState.NEW})
    assert claimed == replace(operation, epoch=1)
    for refused in (stack.operations.reload, stack.operations.require_driver):
        with pytest.raises(ImportFencedError):
            await refused(operation)
    await stack.operations.require_driver(claimed)


async def test_a_change_by_a_fenced_driver_is_neither_recorded_nor_published(stack: ImportStack) -> None:
    operation = stack.operations.new("urls", "ann", ImportState.READING)
    await stack.operations.create(operation)
    await stack.uploads.save(operation.id, content(b"x"))
    claimed = await stack.operations.claim(operation, {ImportState.READING})
    states = list(stack.states)
    with pytest.raises(ImportFencedError):
        await stack.operations.fail(operation, ImportRefusedError("it is damaged"))
    assert (await stack.records.operations.get(operation.id), stack.states) == (claimed, states)
    assert stack.stored() == [operation.id]


async def test_fields_are_updated_without_a_new_state(stack: ImportStack) -> None:
    operation = stack.operations.new("urls", "ann", ImportState.DONE)
    await stack.operations.create(operation)
    states = list(stack.states)
    with stack.bus.subscribe() as events:
        updated = await stack.operations.update(replace(operation, skipped=3))
        [published] = await events.receive()
    assert published.event == ImportChanged(operation=updated)
    assert await stack.records.operations.get(operation.id) == updated
    assert stack.states == states
