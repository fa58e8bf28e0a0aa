"""Content of the current import file, and selections from it."""

import pytest
from support.fake_imports import make_run
from support.import_stack import USER, ImportStack, content, wait_for_state

from downloadd.import_operation import PENDING_FILES, ImportErrorCode, ImportState, PendingRequest, Selection
from downloadd.imports.refusal import ImportRefusedError
from downloadd.imports.selection import FileData
from downloadd.imports.service import ImportService

ALL = Selection(users=None, channels=None)
NOTHING = Selection(users=frozenset({"nobody"}), channels=frozenset())


async def upload(service: ImportService, data: bytes = b"http://a.example/1\n") -> str:
    return (await service.upload("urls", content(data), user=USER, name="l", content_type=None)).id


async def ready(stack: ImportStack, service: ImportService) -> str:
    id = await upload(service)
    assert await service.file_data(USER) is None
    await wait_for_state(stack, id, ImportState.READY, ImportState.FAILED)
    return id


async def test_without_an_import_the_content_is_empty(stack: ImportStack) -> None:
    async with stack.make_service() as service:
        assert await service.file_data(USER) == FileData()
        await service.download_pending(PendingRequest(kind=PENDING_FILES), user=USER)
        assert await service.file_data(USER) == FileData()


async def test_the_first_call_starts_to_read_the_file(stack: ImportStack) -> None:
    async with stack.make_service() as service:
        await ready(stack, service)
        data = await service.file_data(USER)
        assert data is not None
        assert [(channel.channel_id, selected) async for page in data.channels() for channel, selected in page] == [
            ("__files__", True)
        ]
        assert await service.file_data(USER) is not None
    assert stack.states.count(ImportState.READING) == 1


async def test_a_file_that_could_not_be_read_is_reported(stack: ImportStack) -> None:
    async with stack.make_service() as service:
        operation = stack.operations.new("urls", USER.id, ImportState.READING)
        await stack.operations.create(operation)
        await stack.operations.fail(operation, ImportRefusedError("too long", ImportErrorCode.FILE_TOO_LARGE))
        with pytest.raises(ImportRefusedError, match="too long") as refused:
            await service.file_data(USER)
        assert refused.value.code is ImportErrorCode.FILE_TOO_LARGE


async def test_a_selection_makes_files_pending(stack: ImportStack) -> None:
    async with stack.make_service() as service:
        await ready(stack, service)
        operation = await service.start(ALL, user=USER)
        assert (operation.state, operation.file_counts.total) == (ImportState.DONE, 1)
        reserved = await stack.records.files.reserve(make_run("run", USER.id), PendingRequest(kind=PENDING_FILES))
        assert reserved.run.file_counts.total == 1


async def test_a_selection_before_the_content_is_known_is_refused(stack: ImportStack) -> None:
    async with stack.make_service() as service:
        for _ in range(2):
            with pytest.raises(ImportRefusedError) as refused:
                await service.start(ALL, user=USER)
            assert refused.value.code is ImportErrorCode.WRONG_STATE
            await upload(service)


async def test_an_empty_selection_is_refused_and_another_one_is_possible(stack: ImportStack) -> None:
    async with stack.make_service() as service:
        await ready(stack, service)
        with pytest.raises(ImportRefusedError) as refused:
            await service.start(NOTHING, user=USER)
        assert refused.value.code is ImportErrorCode.NOTHING_SELECTED
        assert (await service.start(ALL, user=USER)).state is ImportState.DONE


async def test_a_selection_that_the_end_of_the_daemon_interrupted_can_be_repeated(stack: ImportStack) -> None:
    async with stack.make_service() as service:
        id = await ready(stack, service)
        operation = await stack.records.operations.get(id)
        assert operation is not None
        await stack.operations.advance(operation, ImportState.SELECTING)
    async with stack.make_service() as service:
        assert (await service.start(ALL, user=USER)).state is ImportState.DONE
