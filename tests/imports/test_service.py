"""Import service: rights, cancellation, and continuation after a start."""

import asyncio
import json
from collections.abc import Awaitable, Callable

import pytest
from msgspec.structs import replace
from support.import_files import packed
from support.import_stack import DIRECTORY, USER, ImportStack, content, wait_for_state
from support.waiting import CONDITION_TIMEOUT, wait_until

from downloadd.config import DirectoryConfig
from downloadd.errors import DownloadForbiddenError, NotFoundError
from downloadd.import_operation import (
    PENDING_FILES,
    Driver,
    ImportErrorCode,
    ImportOperation,
    ImportState,
    PendingRequest,
    Selection,
)
from downloadd.imports.refusal import ImportRefusedError, UnknownImporterError
from downloadd.imports.service import ImportService
from downloadd.policy.directories import DirectoryRules
from downloadd.records.import_protocol import Reservation
from downloadd.states import State
from downloadd.users import PermissionMissingError, User

LIST = b"http://a.example/1\n"
STRANGER = User(id="bob", permissions=frozenset({"download"}))
ALL = Selection(users=None, channels=None)
PENDING = PendingRequest(kind=PENDING_FILES)

CALLS: dict[str, Callable[[ImportService, User], Awaitable[object]]] = {
    "upload": lambda service, user: service.upload("urls", content(LIST), user=user, name="l", content_type=None),
    "fetch": lambda service, user: service.fetch("urls", "http://a.example/", user=user),
    "file_data": lambda service, user: service.file_data(user),
    "start": lambda service, user: service.start(ALL, user=user),
    "download_pending": lambda service, user: service.download_pending(PENDING, user=user),
    "skipped": lambda service, user: service.skipped("x", after=0, limit=9, user=user),
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
        assert await service.download_pending(PENDING, user=USER) == 1
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
        assert await service.cancel(operation.id, user=USER) == cancelled


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


async def imported(
    stack: ImportStack, service: ImportService, data: bytes = LIST, kind: str = "urls", *, selection: Selection = ALL
) -> str:
    """Upload a file, select from it, and return the id of the import."""
    operation = await service.upload(kind, content(data), user=USER, name="l", content_type=None)
    await service.file_data(USER)
    await wait_for_state(stack, operation.id, ImportState.READY)
    await service.start(selection, user=USER)
    return operation.id


async def finished_run(
    stack: ImportStack, service: ImportService, state: State, request: PendingRequest = PENDING
) -> str:
    """Download the pending files, which end in this state, and return the id of the run."""
    before = len(stack.downloads.requests)
    count = await service.download_pending(request, user=USER)
    run = await service.current(USER)
    assert run is not None
    async with asyncio.timeout(CONDITION_TIMEOUT):
        while len(stack.downloads.requests) < before + count:
            await asyncio.sleep(0.01)
    for accepted in stack.downloads.requests[before:]:
        await stack.downloads.finish(accepted.id, state)
    return (await wait_for_state(stack, run.id, ImportState.DONE)).id


async def test_the_failures_of_one_import_never_count_in_another(stack: ImportStack) -> None:
    async with stack.make_service() as service:
        await imported(stack, service)
        failed = await finished_run(stack, service, State.FAILED)
        await imported(stack, service, b"http://a.example/new\n")
        new = await finished_run(stack, service, State.COMPLETED)
        counts = {id: (await stack.records.operations.get(id)).file_counts for id in (failed, new)}  # type: ignore[union-attr]
    assert (counts[failed].total, counts[failed].failed) == (1, 1)
    assert (counts[new].total, counts[new].failed) == (1, 0)


async def test_failed_files_are_tried_again_on_request_only(stack: ImportStack) -> None:
    async with stack.make_service() as service:
        first = await imported(stack, service)
        failed = await finished_run(stack, service, State.FAILED)
        assert await service.download_pending(PENDING, user=USER) == 0
        for operation in (first, failed):
            again = PendingRequest(kind=PENDING_FILES, operation=operation, retry=True)
            await finished_run(stack, service, State.FAILED, again)
    assert len(stack.downloads.requests) == 3


async def test_an_operation_that_is_ended_twice_is_ended_once_and_its_files_can_be_tried_again(
    stack: ImportStack,
) -> None:
    async with stack.make_service() as service:
        await imported(stack, service)
        assert await service.download_pending(PENDING, user=USER) == 1
        run = await service.current(USER)
        assert run is not None
        ended = await service.cancel(run.id, user=USER)
        assert (ended.state, ended.file_counts.failed) == (ImportState.CANCELLED, 1)
        for _ in range(2):
            assert await service.cancel(run.id, user=USER) == ended
        assert await service.download_pending(PendingRequest(kind=PENDING_FILES, retry=True), user=USER) == 1
        # The repetition of an earlier call does not end the later run.
        before = await service.current(USER)
        assert (await service.cancel(run.id, user=USER)).state is ImportState.CANCELLED
        assert await service.current(USER) == before


async def test_the_end_of_a_finished_operation_changes_nothing(stack: ImportStack) -> None:
    async with stack.make_service() as service:
        source = await imported(stack, service)
        failed = await finished_run(stack, service, State.FAILED)
        for id in (failed, source):
            recorded = await stack.records.operations.get(id)
            assert await service.cancel(id, user=USER) == recorded == await stack.records.operations.get(id)
        assert await service.download_pending(PendingRequest(kind=PENDING_FILES, retry=True), user=USER) == 1


async def test_what_is_given_up_is_never_tried_again(stack: ImportStack) -> None:
    async with stack.make_service() as service:
        await imported(stack, service)
        failed = await finished_run(stack, service, State.FAILED)
        ended = await service.cancel(failed, give_up=True, user=USER)
        assert (ended.state, ended.file_counts.failed, ended.file_counts.given_up) == (ImportState.DONE, 0, 1)
        again = await service.cancel(failed, give_up=True, user=USER)
        assert replace(again, epoch=ended.epoch) == ended
        retry = PendingRequest(kind=PENDING_FILES, retry=True)
        assert await service.download_pending(retry, user=USER) == 0
    [manifest] = stack.root.rglob("manifest.jsonl")
    assert '"status":"given_up"' in manifest.read_text()


async def test_an_operation_under_way_is_ended_and_its_files_given_up_in_one_call(stack: ImportStack) -> None:
    async with stack.make_service() as service:
        await imported(stack, service)
        assert await service.download_pending(PENDING, user=USER) == 1
        run = await service.current(USER)
        assert run is not None
        ended = await service.cancel(run.id, give_up=True, user=USER)
        assert (ended.state, ended.file_counts.failed, ended.file_counts.given_up) == (ImportState.CANCELLED, 0, 1)
        again = await service.cancel(run.id, give_up=True, user=USER)
        assert replace(again, epoch=ended.epoch) == ended
        assert await service.download_pending(PendingRequest(kind=PENDING_FILES, retry=True), user=USER) == 0


@pytest.mark.parametrize("give_up", [False, True])
async def test_an_import_whose_files_are_being_downloaded_is_ended_after_its_run(
    stack: ImportStack, give_up: bool
) -> None:
    async with stack.make_service() as service:
        source = await imported(stack, service)
        assert await service.download_pending(PENDING, user=USER) == 1
        run = await service.current(USER)
        assert run is not None
        with pytest.raises(ImportRefusedError, match=f"end the operation {run.id} first") as refused:
            await service.cancel(source, give_up=give_up, user=USER)
        assert refused.value.code is ImportErrorCode.WRONG_STATE
        await service.cancel(run.id, user=USER)
        await service.cancel(source, give_up=give_up, user=USER)
        ended = await stack.records.operations.get(run.id)
        assert ended is not None
        assert (ended.state, ended.file_counts.given_up) == (ImportState.CANCELLED, int(give_up))
        retry = PendingRequest(kind=PENDING_FILES, retry=True)
        assert await service.download_pending(retry, user=USER) == int(not give_up)


async def test_files_that_a_later_run_downloads_are_not_given_up(stack: ImportStack) -> None:
    async with stack.make_service() as service:
        await imported(stack, service)
        failed = await finished_run(stack, service, State.FAILED)
        assert await service.download_pending(PendingRequest(kind=PENDING_FILES, retry=True), user=USER) == 1
        run = await service.current(USER)
        assert run is not None
        with pytest.raises(ImportRefusedError, match=f"end the operation {run.id} first"):
            await service.cancel(failed, give_up=True, user=USER)


async def test_pending_files_of_an_unknown_operation_are_not_found(stack: ImportStack) -> None:
    async with stack.make_service() as service:
        with pytest.raises(NotFoundError):
            await service.download_pending(PendingRequest(kind=PENDING_FILES, operation="x"), user=USER)


TABLE = b"url\nhttp://a.example/1,x\nhttp://a.example/2,x\n"


async def test_a_run_has_the_skipped_entries_of_its_import(stack: ImportStack) -> None:
    async with stack.make_service() as service:
        source = await imported(stack, service, TABLE, "csv")
        assert await service.download_pending(PENDING, user=USER) == 0
        run = await service.current(USER)
        assert run is not None
        run = await wait_for_state(stack, run.id, ImportState.DONE)
        assert (run.skipped, run.sources) == (2, (source,))
        listed = [await service.skipped(id, after=0, limit=9, user=USER) for id in (source, run.id)]
        assert [entry.line for _, entry in listed[0]] == [2, 3]
        assert listed[0] == listed[1]
        assert len(await service.skipped(run.id, after=listed[0][0][0], limit=9, user=USER)) == 1
    [manifest] = stack.root.rglob("manifest.jsonl")
    assert manifest.read_text().count('"status":"skipped"') == 2


async def test_skipped_entries_are_shown_to_the_importer_and_to_those_who_view_all(stack: ImportStack) -> None:
    importer = User(id="eve", permissions=frozenset({"run-import"}))
    viewer = User(id="vic", permissions=frozenset({"view-import-operations"}))
    async with stack.make_service() as service:
        source = await imported(stack, service, TABLE, "csv")
        with pytest.raises(NotFoundError):
            await service.skipped(source, after=0, limit=9, user=importer)
        assert len(await service.skipped(source, after=0, limit=9, user=viewer)) == 2


ARCHIVE = packed(
    {
        "users.json": [],
        "channels.json": [{"id": "C1", "name": "general"}],
        "general/1.json": [{"ts": "5", "files": [{"id": "F1", "name": "a"}]}],
        "__uploads/F1/a": b"content",
    }
)


async def test_files_of_an_archive_are_saved_and_the_archive_is_deleted(stack: ImportStack) -> None:
    async with stack.make_service() as service:
        source = await imported(stack, service, ARCHIVE, "slack")
        assert stack.stored() == [source]
        assert await service.download_pending(PENDING, user=USER) == 1
        run = await service.current(USER)
        assert run is not None
        done = await wait_for_state(stack, run.id, ImportState.DONE)
        assert (done.file_counts.completed, done.file_counts.failed) == (1, 0)
    assert [path.read_bytes() for path in stack.root.rglob("F1-a")] == [b"content"]
    assert (stack.stored(), stack.downloads.requests) == ([], [])


PLACES = [("a", "town"), ("b", "town"), ("a", "gate")]
POSTS = [
    {"type": "post", "post": {"team": team, "channel": name, "attachments": [{"path": f"{team}-{name}"}]}}
    for team, name in PLACES
]
TEAMS = packed(
    {
        "import.jsonl": "\n".join(json.dumps(line) for line in ({"type": "version", "version": 1}, *POSTS)),
        **{f"data/{team}-{name}": b"content" for team, name in PLACES},
    }
)


@pytest.mark.parametrize(
    ("channels", "directories"),
    [(None, ["gate", "town (a town)", "town (b town)"]), (frozenset({"b/town"}), ["town (b town)"])],
)
async def test_channels_of_the_same_name_have_directories_of_their_own_whatever_is_selected(
    stack: ImportStack, channels: frozenset[str] | None, directories: list[str]
) -> None:
    async with stack.make_service() as service:
        await imported(stack, service, TEAMS, "mattermost", selection=Selection(users=None, channels=channels))
        assert await service.download_pending(PENDING, user=USER) == len(directories)
        run = await service.current(USER)
        assert run is not None
        await wait_for_state(stack, run.id, ImportState.DONE)
    files = [path for path in stack.root.rglob("*") if path.is_file() and path.name != "manifest.jsonl"]
    assert sorted(path.parent.name for path in files) == directories


async def test_an_archive_with_pending_files_is_kept_across_a_start(stack: ImportStack) -> None:
    async with stack.make_service() as service:
        source = await imported(stack, service, ARCHIVE, "slack")
    async with stack.make_service() as service:
        assert stack.stored() == [source]
        await service.cancel(source, give_up=True, user=USER)
    assert stack.stored() == []


async def test_calls_that_end_an_operation_at_the_same_time_end_it_once(stack: ImportStack) -> None:
    async with stack.make_service() as service:
        await imported(stack, service)
        assert await service.download_pending(PENDING, user=USER) == 1
        run = await service.current(USER)
        assert run is not None
        ended = await asyncio.gather(*(service.cancel(run.id, user=USER) for _ in range(4)))
    assert {one.state for one in ended} == {ImportState.CANCELLED}
    assert stack.states.count(ImportState.CANCELLED) == 1
    assert ended[0].file_counts.failed == 1


async def test_a_selection_from_an_import_that_is_cancelled_meanwhile_is_refused(
    stack: ImportStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    select, ended = stack.records.contents.select, []

    async def cancel_and_select(driver: Driver, selection: Selection) -> int:
        ended.append(await service.cancel(driver.operation, user=USER))
        return await select(driver, selection)

    async with stack.make_service() as service:
        operation = await service.upload("urls", content(LIST), user=USER, name="l", content_type=None)
        await service.file_data(USER)
        await wait_for_state(stack, operation.id, ImportState.READY)
        monkeypatch.setattr(stack.records.contents, "select", cancel_and_select)
        with pytest.raises(ImportRefusedError, match="another request changes the import"):
            await service.start(ALL, user=USER)
    assert [await stack.records.operations.get(operation.id)] == ended
    assert ended[0].state is ImportState.CANCELLED


async def test_a_service_that_takes_over_a_run_stops_the_driver_of_the_other(stack: ImportStack) -> None:
    """The services are those of two processes with the same records."""
    async with stack.make_service() as first:
        await imported(stack, first)
        assert await first.download_pending(PENDING, user=USER) == 1
        await wait_until(lambda: len(stack.downloads.requests) == 1)
        async with stack.make_service() as second:
            await wait_until(lambda: first.active_operations == 0)
            run = await second.current(USER)
            assert run is not None
            assert (run.state, run.epoch, second.active_operations) == (ImportState.DOWNLOADING, 1, 1)
            await stack.downloads.finish(stack.downloads.requests[0].id)
            await wait_for_state(stack, run.id, ImportState.DONE)
    assert len(stack.downloads.requests) == 1


async def test_a_run_that_is_cancelled_while_it_is_created_downloads_nothing(
    stack: ImportStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    reserve = stack.records.files.reserve

    async def reserve_and_cancel(run: ImportOperation, request: PendingRequest) -> Reservation:
        reserved = await reserve(run, request)
        await service.cancel(run.id, user=USER)
        return reserved

    async with stack.make_service() as service:
        await imported(stack, service)
        monkeypatch.setattr(stack.records.files, "reserve", reserve_and_cancel)
        with pytest.raises(ImportRefusedError, match="another request changes the import"):
            await service.download_pending(PENDING, user=USER)
        run = await service.current(USER)
        assert run is not None
        assert (run.state, run.file_counts.failed, service.active_operations) == (ImportState.CANCELLED, 1, 0)
    assert stack.downloads.requests == []
