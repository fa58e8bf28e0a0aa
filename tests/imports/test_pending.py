"""Downloads of pending files."""

import asyncio
import json
from typing import Any

import pytest
from msgspec.structs import replace
from support.import_stack import DIRECTORY, ImportStack
from support.waiting import CONDITION_TIMEOUT, wait_until

from downloadd.download import Conflict
from downloadd.errors import ErrorCode
from downloadd.import_operation import (
    PENDING_AVATARS,
    PENDING_FILES,
    Channel,
    FileCounts,
    FileLink,
    FileParameters,
    ImportOperation,
    ImportState,
    PendingFile,
    PendingRequest,
    Selection,
    WorkspaceUser,
)
from downloadd.imports import pending
from downloadd.imports.archived_files import ArchivedFiles
from downloadd.imports.checksum_lists import ChecksumLists
from downloadd.imports.manifest import ManifestWriter
from downloadd.imports.pending import MAX_POLL_SECONDS, MIN_POLL_SECONDS, PendingDownloads, expected_type, poll_seconds
from downloadd.records.import_protocol import ImportFencedError
from downloadd.records.protocol import ActiveFilter, HistoryFilter
from downloadd.states import State

FILES = PendingRequest(kind=PENDING_FILES)
AVATARS = PendingRequest(kind=PENDING_AVATARS)
RETRY = PendingRequest(kind=PENDING_FILES, retry=True)


@pytest.fixture
def downloads(stack: ImportStack, monkeypatch: pytest.MonkeyPatch) -> PendingDownloads:
    monkeypatch.setattr(pending, "MIN_POLL_SECONDS", 0.001)
    manifests = ManifestWriter(
        operations=stack.operations, records=stack.records, destination=stack.destination, directory=DIRECTORY
    )
    return PendingDownloads(
        operations=stack.operations,
        records=stack.records,
        downloads=stack.downloads,
        archives=ArchivedFiles(
            records=stack.records.files, uploads=stack.uploads, destination=stack.destination, directory=DIRECTORY
        ),
        checksum_lists=ChecksumLists(
            records=stack.records, destination=stack.destination, reader_thread=stack.reader_thread
        ),
        manifests=manifests,
        clock=stack.clock,
        directory=DIRECTORY,
    )


async def select(stack: ImportStack, files: int) -> ImportOperation:
    """Record an import with a channel of so many files and one avatar, all pending."""
    operation = stack.operations.new("slack", "ann", ImportState.DONE, name="export.zip")
    await stack.operations.create(operation)
    links = [FileLink(file_id=f"F{n}", url=f"http://h/{n}", channel_id="C1", name="a") for n in range(files)]
    user = WorkspaceUser(user_id="U1", username="ann", avatar_url="http://h/avatar")
    await stack.records.contents.add(operation.driver, [user, Channel(channel_id="C1", name="general"), *links])
    await stack.records.contents.select(operation.driver, Selection(users=None, channels=None))
    return operation


async def select_urls(stack: ImportStack, *names: str) -> ImportOperation:
    """Record an import of the files of one directory, all pending."""
    source = stack.operations.new("urls", "ann", ImportState.DONE, name="l.txt")
    await stack.operations.create(source)
    links = [
        FileLink(file_id=name, url=f"http://h/{name}", channel_id="C1", is_checksum_list=name.endswith("SUMS"))
        for name in names
    ]
    await stack.records.contents.add(source.driver, [Channel(channel_id="C1", name="l"), *links])
    await stack.records.contents.select(source.driver, Selection(users=None, channels=None))
    return source


async def test_the_parameters_of_a_file_reach_its_download(stack: ImportStack, downloads: PendingDownloads) -> None:
    source = stack.operations.new("urls", "ann", ImportState.DONE, name="l.txt")
    await stack.operations.create(source)
    stated = FileParameters(
        speed_limit=5, segments=3, max_retries=0, conflict=Conflict.ERROR, stall_timeout=7, gid="ab" * 8
    )
    links = [
        FileLink(file_id="1", url="http://h/1", channel_id="C1", name="a", parameters=stated),
        FileLink(file_id="2", url="http://h/2", channel_id="C1", name="b"),
    ]
    await stack.records.contents.add(source.driver, [Channel(channel_id="C1", name="l"), *links])
    await stack.records.contents.select(source.driver, Selection(users=None, channels=None))
    stack.downloads.auto_complete = True
    await downloads.download(await downloads.create(FILES, user="ann"))
    first, second = sorted(stack.downloads.requests, key=lambda request: request.url)
    assert (first.speed_limit, first.segments, first.max_retries, first.stall_timeout) == (5, 3, 0, 7)
    assert (first.gid, first.requires_gid, second.gid) == ("ab" * 8, False, None)
    assert (first.conflict, first.filename, first.timeout) == (Conflict.ERROR, "1-a", 0)
    assert (second.speed_limit, second.segments, second.max_retries, second.conflict) == (0, None, None, None)


async def test_the_files_of_a_run_start_at_its_time_unless_they_state_one(
    stack: ImportStack, downloads: PendingDownloads
) -> None:
    source = stack.operations.new("urls", "ann", ImportState.DONE, name="l.txt")
    await stack.operations.create(source)
    links = [
        FileLink(file_id="1", url="http://h/1", channel_id="C1", name="a", parameters=FileParameters(not_before=5)),
        FileLink(file_id="2", url="http://h/2", channel_id="C1", name="b"),
    ]
    await stack.records.contents.add(source.driver, [Channel(channel_id="C1", name="l"), *links])
    await stack.records.contents.select(source.driver, Selection(users=None, channels=None))
    stack.downloads.auto_complete = True
    await downloads.download(await downloads.create(replace(FILES, not_before=7.5), user="ann"))
    assert [request.not_before for request in sorted(stack.downloads.requests, key=lambda one: one.url)] == [5, 7.5]


async def test_a_run_without_files_is_done(stack: ImportStack, downloads: PendingDownloads) -> None:
    run = await downloads.create(FILES, user="ann")
    assert (run.state, run.file_counts.total) == (ImportState.DONE, 0)
    assert await stack.records.operations.current("ann") == run


async def test_a_run_has_all_pending_files_of_its_kind_once(stack: ImportStack, downloads: PendingDownloads) -> None:
    await select(stack, 3)
    totals = [(await downloads.create(FILES, user="ann")).file_counts.total for _ in range(2)]
    assert totals == [3, 0]
    assert (await downloads.create(AVATARS, user="bob")).file_counts.total == 0
    assert (await downloads.create(AVATARS, user="ann")).file_counts.total == 1


async def test_files_are_downloaded_to_the_directory_of_their_channel(
    stack: ImportStack, downloads: PendingDownloads
) -> None:
    stack.downloads.auto_complete = True
    await select(stack, 2)
    run = await downloads.create(FILES, user="ann")
    await downloads.download(run)
    assert [
        (request.url, request.filename, request.operation, request.timeout) for request in stack.downloads.requests
    ] == [(f"http://h/{n}", f"F{n}-a", run.id, 0) for n in range(2)]
    assert {request.directory.rpartition("/")[2] for request in stack.downloads.requests} == {"general"}
    done = await stack.operations.reload(run)
    assert (done.state, done.file_counts) == (ImportState.DONE, FileCounts(total=2, completed=2))
    assert len(list(stack.root.rglob("manifest.jsonl"))) == 1


async def test_the_number_of_active_downloads_is_limited(
    stack: ImportStack, downloads: PendingDownloads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pending, "MAX_BATCH_FILES", 2)
    monkeypatch.setattr(pending, "MAX_ACTIVE_FILES", 3)
    await select(stack, 5)
    run = await downloads.create(FILES, user="ann")
    task = asyncio.create_task(downloads.download(run))
    finished = 0
    async with asyncio.timeout(CONDITION_TIMEOUT):
        while finished < 5:
            while len(stack.downloads.requests) == finished:
                await asyncio.sleep(0)
            assert len(stack.downloads.requests) - finished <= 3
            state = State.FAILED if finished == 4 else State.COMPLETED
            await stack.downloads.finish(stack.downloads.requests[finished].id, state)
            finished += 1
        await task
    assert (await stack.operations.reload(run)).file_counts == FileCounts(total=5, completed=4, failed=1)
    assert (await downloads.create(FILES, user="ann")).file_counts.total == 0
    assert (await downloads.create(RETRY, user="ann")).file_counts.total == 1


async def test_a_run_that_was_interrupted_before_its_downloads_started_starts_them_once(
    stack: ImportStack, downloads: PendingDownloads
) -> None:
    stack.downloads.auto_complete = True
    await select(stack, 3)
    run = await downloads.create(FILES, user="ann")
    await stack.records.files.claim(run.driver, 2, stack.operations.new_download_id)
    await downloads.download(run)
    assert sorted(request.url for request in stack.downloads.requests) == ["http://h/0", "http://h/1", "http://h/2"]


async def test_files_of_a_cancelled_run_are_tried_again_on_request_only(
    stack: ImportStack, downloads: PendingDownloads
) -> None:
    await select(stack, 2)
    run = await downloads.create(FILES, user="ann")
    task = asyncio.create_task(downloads.download(run))
    async with asyncio.timeout(CONDITION_TIMEOUT):
        while len(stack.downloads.requests) < 2:
            await asyncio.sleep(0.001)
    task.cancel()
    await asyncio.wait((task,))
    await stack.downloads.finish(stack.downloads.requests[0].id)
    for _ in range(2):
        cancelled = await downloads.cancel(run)
        assert cancelled.file_counts == FileCounts(total=2, completed=1, failed=1)
    assert (await downloads.create(FILES, user="ann")).file_counts.total == 0
    assert (await downloads.create(RETRY, user="ann")).file_counts.total == 1


async def test_the_manifest_keeps_the_outcomes_of_files_whose_downloads_are_removed(
    stack: ImportStack, downloads: PendingDownloads
) -> None:
    source = await select(stack, 2)
    run = await downloads.create(FILES, user="ann")
    task = asyncio.create_task(downloads.download(run))
    async with asyncio.timeout(CONDITION_TIMEOUT):
        while len(stack.downloads.requests) < 2:
            await asyncio.sleep(0.001)
        good, missing = (request.id for request in stack.downloads.requests)
        await stack.downloads.finish(good, total=3, checksum="sha-256=ab", directory="d", filename="f")
        await stack.downloads.finish(missing, State.FAILED, error=ErrorCode.REMOTE_FILE_NOT_FOUND)
        await task
    await stack.database.remove_ended(await stack.database.ended_rows(HistoryFilter()))
    assert await downloads.give_up(source) == 2  # the avatar, too
    [manifest] = stack.root.rglob("manifest.jsonl")
    lines = [json.loads(line) for line in manifest.read_text().splitlines()]
    assert [[line[key] for key in ("status", "path", "size", "sha256", "error")] for line in lines] == [
        ["completed", "d/f", 3, "ab", None],
        ["given_up", None, None, None, "REMOTE_FILE_NOT_FOUND"],
    ]


async def test_a_file_of_a_run_that_was_ended_is_verified_by_the_list_when_it_is_tried_again(
    stack: ImportStack, downloads: PendingDownloads
) -> None:
    await select_urls(stack, "SHA256SUMS", "MD5SUMS", "a.iso")
    run = await downloads.create(FILES, user="ann")
    task = asyncio.create_task(downloads.download(run))
    async with asyncio.timeout(CONDITION_TIMEOUT):
        while len(stack.downloads.requests) < 2:
            await asyncio.sleep(0.001)
        (stack.root / "sums").write_text(f"{'ab' * 32}  a.iso\n")
        await stack.downloads.finish(stack.downloads.requests[0].id, directory="", filename="sums")
        task.cancel()
        await asyncio.wait((task,))
        await downloads.cancel(run)
        stack.downloads.refused = True
        await downloads.download(await downloads.create(RETRY, user="ann"))
    assert [(request.url, request.checksum) for request in stack.downloads.requests[2:]] == [
        ("http://h/MD5SUMS", None),
        ("http://h/a.iso", f"sha-256={'ab' * 32}"),
    ]


async def test_a_list_of_checksums_that_cannot_be_used_is_counted_and_is_in_the_manifest(
    stack: ImportStack, downloads: PendingDownloads
) -> None:
    stack.downloads.auto_complete = True
    source = await select_urls(stack, "SHA256SUMS", "a.iso")
    run = await downloads.create(FILES, user="ann")
    await downloads.download(run)
    assert [(await stack.operations.reload(operation)).skipped for operation in (source, run)] == [1, 1]
    [manifest] = stack.root.rglob("manifest.jsonl")
    lines = [json.loads(line) for line in manifest.read_text().splitlines()]
    assert [(line["status"], line["error"]) for line in lines] == [
        ("completed", None),
        ("completed", None),
        ("skipped", "unusable_list"),
    ]


async def test_files_that_were_claimed_and_not_started_are_cancelled(
    stack: ImportStack, downloads: PendingDownloads
) -> None:
    await select(stack, 3)
    run = await downloads.create(FILES, user="ann")
    await stack.records.files.claim(run.driver, 2, stack.operations.new_download_id)
    cancelled = await downloads.cancel(run)
    assert cancelled.file_counts == FileCounts(total=3, failed=3)
    assert [file.status for file in await stack.records.files.of_run(run.id, 0, 9)] == ["cancelled"] * 3
    assert (await downloads.create(RETRY, user="ann")).file_counts.total == 3


async def test_a_driver_that_is_fenced_before_it_starts_its_downloads_starts_none(
    stack: ImportStack, downloads: PendingDownloads, monkeypatch: pytest.MonkeyPatch
) -> None:
    await select(stack, 2)
    run = await downloads.create(FILES, user="ann")
    claim = stack.records.files.claim
    taken_over: list[ImportOperation | None] = []

    async def claim_and_lose(*arguments: Any, **options: Any) -> list[PendingFile]:
        files = await claim(*arguments, **options)
        taken_over.append(await stack.operations.claim(run, {ImportState.DOWNLOADING}))
        return files

    monkeypatch.setattr(stack.records.files, "claim", claim_and_lose)
    with pytest.raises(ImportFencedError):
        await downloads.download(run)
    assert await stack.database.active(ActiveFilter()) == []
    monkeypatch.undo()
    monkeypatch.setattr(pending, "MIN_POLL_SECONDS", 0.001)
    stack.downloads.auto_complete = True
    [claimed] = taken_over
    assert claimed is not None
    await downloads.download(claimed)
    assert sorted(request.url for request in stack.downloads.requests) == ["http://h/0", "http://h/1"]
    assert (await stack.operations.reload(claimed)).file_counts == FileCounts(total=2, completed=2)


async def test_a_driver_that_is_fenced_while_it_waits_stops_and_the_next_one_finishes_the_run(
    stack: ImportStack, downloads: PendingDownloads
) -> None:
    await select(stack, 2)
    run = await downloads.create(FILES, user="ann")
    late = asyncio.create_task(downloads.download(run))
    await wait_until(lambda: len(stack.downloads.requests) == 2)
    claimed = await stack.operations.claim(run, {ImportState.DOWNLOADING})
    assert claimed is not None
    with pytest.raises(ImportFencedError):
        await late
    assert await stack.records.operations.get(run.id) == claimed
    for request in stack.downloads.requests:
        await stack.downloads.finish(request.id)
    await downloads.download(claimed)
    assert len(stack.downloads.requests) == 2
    assert (await stack.operations.reload(claimed)).state is ImportState.DONE


@pytest.mark.parametrize(("files", "seconds"), [(0, MIN_POLL_SECONDS), (2_500, 0.5), (1_000_000, MAX_POLL_SECONDS)])
def test_many_files_are_polled_less_often(files: int, seconds: float) -> None:
    assert poll_seconds(files) == seconds


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [("image/png", "file"), ("text/plain", "file"), ("Text/HTML; a=b", None), (None, None)],
)
def test_only_a_web_page_is_known_not_to_be_the_file_of_a_link(content_type: str | None, expected: str | None) -> None:
    assert expected_type(content_type) == expected
