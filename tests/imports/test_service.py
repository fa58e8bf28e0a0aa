"""Import service: rights, cancellation, and continuation after a start."""

from collections.abc import Awaitable, Callable

import pytest
from support.import_stack import DIRECTORY, USER, ImportStack, content, wait_for_state

from downloadd.config import DirectoryConfig
from downloadd.errors import DownloadForbiddenError, NotFoundError
from downloadd.import_operation import ImportErrorCode, ImportState, Selection
from downloadd.imports.refusal import ImportRefusedError, UnknownImporterError
from downloadd.imports.service import ImportService
from downloadd.policy.directories import DirectoryRules
from downloadd.states import State
from downloadd.users import PermissionMissingError, User

LIST = b"http://a.example/1\n"
STRANGER = User(id="bob", permissions=frozenset({"download"}))
ALL = Selection(users=None, channels=None)

CALLS: dict[str, Callable[[ImportService, User], Awaitable[object]]] = {
    "upload": lambda service, user: service.upload("urls", content(LIST), user=user, name="l", content_type=None),
    "fetch": lambda service, user: service.fetch("urls", "http://a.example/", user=user),
    "file_data": lambda service, user: service.file_data(user),
    "start": lambda service, user: service.start(ALL, user=user),
    "download_pending": lambda service, user: service.download_pending("pending-files", user=user),
    "cancel": lambda service, user: service.cancel("x", user=user),
    "current": lambda service, user: service.current(user),
    "latest": lambda service, user: service.latest(user),
}


@pytest.mark.parametrize("name", CALLS)
async def test_each_call_needs_its_permission(stack: ImportStack, name: str) -> None:
    async with stack.make_service() as service:
        with pytest.raises(PermissionMissingError):
            await CALLS[name](service, STRANGER)
    assert stack.stored() == []


@pytest.mark.parametrize("name", ["fetch", "download_pending"])
async def test_downloads_need_the_directory_and_an_enabled_daemon(stack: ImportStack, name: str) -> None:
    async with stack.make_service() as service:
        stack.rights.configure(directories=DirectoryRules(), is_enabled=False)
        with pytest.raises(DownloadForbiddenError):
            await CALLS[name](service, USER)
        others = DirectoryRules([DirectoryConfig(path=DIRECTORY, users=("another",))])
        stack.rights.configure(directories=others, is_enabled=True)
        with pytest.raises(PermissionMissingError):
            await CALLS[name](service, USER)
        with pytest.raises(PermissionMissingError):
            service.authorize_upload(USER)
    assert stack.downloads.requests == []


@pytest.mark.parametrize("name", ["upload", "fetch"])
async def test_an_unknown_importer_is_refused_before_anything_is_stored(stack: ImportStack, name: str) -> None:
    async with stack.make_service() as service:
        with pytest.raises(UnknownImporterError):
            await (
                service.upload("hip", content(LIST), user=USER, name="l", content_type=None)
                if name == "upload"
                else service.fetch("hip", "http://a.example/", user=USER)
            )
    assert (stack.stored(), stack.downloads.requests) == ([], [])


async def test_an_import_runs_from_the_upload_to_the_last_file(stack: ImportStack) -> None:
    stack.downloads.auto_complete = True
    async with stack.make_service() as service:
        operation = await service.upload("urls", content(LIST), user=USER, name="l.txt", content_type=None)
        assert await service.file_data(USER) is None
        await wait_for_state(stack, operation.id, ImportState.READY)
        await service.start(ALL, user=USER)
        assert await service.download_pending("pending-files", user=USER) == 1
        run = await service.current(USER)
        assert run is not None
        done = await wait_for_state(stack, run.id, ImportState.DONE)
        assert done.file_counts.completed == 1
        assert [one.id for one in await service.latest(USER)] == [run.id, operation.id]
        assert service.active_operations == 0


async def test_a_cancelled_import_has_no_file_and_no_download(stack: ImportStack) -> None:
    async with stack.make_service() as service:
        operation = await service.fetch("urls", "http://a.example/list", user=USER)
        cancelled = await service.cancel(operation.id, user=USER)
        assert (cancelled.state, cancelled.valid) == (ImportState.CANCELLED, False)
        download = await stack.database.get(operation.download_id or "")
        assert download is not None
        assert download.state is State.CANCELLED
        assert (stack.stored(), service.active_operations) == ([], 0)
        with pytest.raises(ImportRefusedError) as refused:
            await service.cancel(operation.id, user=USER)
        assert refused.value.code is ImportErrorCode.WRONG_STATE


async def test_another_users_operation_is_unknown(stack: ImportStack) -> None:
    other = User(id="carl", permissions=USER.permissions)
    async with stack.make_service() as service:
        operation = await service.upload("urls", content(LIST), user=other, name="l", content_type=None)
        for id in (operation.id, "unknown"):
            with pytest.raises(NotFoundError):
                await service.cancel(id, user=USER)
        assert await service.current(USER) is None


async def test_interrupted_operations_continue_or_fail_at_the_next_start(stack: ImportStack) -> None:
    uploading = stack.operations.new("urls", "a", ImportState.UPLOADING)
    reading = stack.operations.new("urls", "b", ImportState.READING_FILES)
    for operation in (uploading, reading):
        await stack.uploads.save(operation.id, content(LIST))
        await stack.operations.create(operation)
    async with stack.make_service() as service:
        fetching = await service.fetch("urls", "http://a.example/list", user=USER)
    async with stack.make_service():
        failed = await wait_for_state(stack, uploading.id, ImportState.FAILED)
        assert failed.reason == "the upload was interrupted"
        await wait_for_state(stack, reading.id, ImportState.READY)
        await stack.downloads.finish(fetching.download_id, State.FAILED)
        await wait_for_state(stack, fetching.id, ImportState.FAILED)
    assert stack.stored() == []


async def test_files_of_finished_operations_are_deleted_at_the_start(stack: ImportStack) -> None:
    kept = stack.operations.new("urls", "a", ImportState.UPLOADED)
    finished = stack.operations.new("urls", "b", ImportState.DONE)
    for operation in (kept, finished):
        await stack.uploads.save(operation.id, content(LIST))
        await stack.operations.create(operation)
    await stack.uploads.save("z" * 17, content(LIST))
    async with stack.make_service():
        assert stack.stored() == [kept.id]
