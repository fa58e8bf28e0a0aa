"""Lists of checksums among the files of a run."""

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from records.contract import sample_download
from support.downloads import with_fields
from support.import_stack import ImportStack
from support.waiting import wait_until

from downloadd.errors import ErrorCode
from downloadd.import_operation import (
    FILES_CHANNEL_ID,
    PENDING_FILES,
    Channel,
    FileLink,
    ImportOperation,
    ImportState,
    PendingRequest,
    Selection,
    SkippedEntry,
)
from downloadd.imports import checksum_lists
from downloadd.imports.checksum_lists import ChecksumLists
from downloadd.imports.manifest import make_manifest_entry
from downloadd.records.protocol import HistoryFilter
from downloadd.states import State

SHA256 = "ab" * 32
SUMS = f"{SHA256}  a.iso\n{'cd' * 32}  b.iso\n"


def link(url: str, **fields: object) -> FileLink:
    return FileLink(file_id=url, url=url, channel_id=FILES_CHANNEL_ID, **fields)  # type: ignore[arg-type]


async def run_with(stack: ImportStack, links: list[FileLink], *texts: str | None) -> ImportOperation:
    """Record a run whose lists of checksums, the first links, are downloaded with these texts; None if that failed."""
    source = stack.operations.new("urls", "ann", ImportState.DONE)
    await stack.operations.create(source)
    await stack.records.contents.add(source.driver, [Channel(channel_id=FILES_CHANNEL_ID, name="l"), *links])
    await stack.records.contents.select(source.driver, Selection(users=None, channels=None))
    run = await reserve(stack, source)
    files = await stack.records.files.claim(run.driver, 9, stack.operations.new_download_id, lists_only=True)
    for file, text in zip(files, texts or (SUMS,), strict=True):
        state = State.FAILED if text is None else State.COMPLETED
        await start(stack, file.download_id or "")
        name = f"sums{file.number}"
        if text is not None:
            folder = stack.root / "d"
            folder.mkdir(parents=True, exist_ok=True)
            Path(folder / name).write_text(text)
        error = ErrorCode.REMOTE_FILE_NOT_FOUND if text is None else None
        await stack.downloads.finish(file.download_id, state, directory="d", filename=name, error=error)
    return run


async def reserve(stack: ImportStack, source: ImportOperation, *, retry: bool = False) -> ImportOperation:
    """Record a run with all pending files."""
    run = replace(stack.operations.new(PENDING_FILES, "ann", ImportState.DOWNLOADING), sources=(source.id,))
    return (await stack.records.files.reserve(run, PendingRequest(kind=PENDING_FILES, retry=retry))).run


async def start(stack: ImportStack, id: str) -> None:
    await stack.database.accept([with_fields(sample_download(), id=id)])


def checksum_lists_of(stack: ImportStack) -> ChecksumLists:
    return ChecksumLists(records=stack.records, destination=stack.destination, reader_thread=stack.reader_thread)


async def checksums(stack: ImportStack, run: ImportOperation) -> list[tuple[str, str | None]]:
    await checksum_lists_of(stack).apply(run)
    files = await stack.records.files.of_run(run.id, 0, 99)
    return [(file.status, file.link.checksum) for file in files if not file.link.is_checksum_list]


async def reports(stack: ImportStack, run: ImportOperation) -> list[SkippedEntry]:
    return [entry for source in run.sources for _, entry in await stack.records.contents.skipped(source, 0, 9)]


LIST = link("https://h/d/SHA256SUMS", is_checksum_list=True)


async def test_the_files_beside_the_list_get_their_checksums(stack: ImportStack) -> None:
    links = [LIST, link("https://h/d/a.iso?x=1"), link("https://h/other/a.iso"), link("https://h/d/c.iso")]
    links += [link("https://h/d/b.iso", checksum="md5=00"), link("https://m/a.iso", mirrors=("https://h/d/a.iso",))]
    assert await checksums(stack, await run_with(stack, links)) == [
        ("reserved", f"sha-256={SHA256}"),
        ("reserved", None),
        ("reserved", None),
        ("reserved", "md5=00"),
        ("reserved", f"sha-256={SHA256}"),
    ]


async def test_a_list_whose_download_is_removed_from_the_history_verifies_the_files(stack: ImportStack) -> None:
    run = await run_with(stack, [LIST, link("https://h/d/a.iso")])
    await stack.database.remove_ended(await stack.database.ended_rows(HistoryFilter()))
    assert await checksums(stack, run) == [("reserved", f"sha-256={SHA256}")]


async def test_a_list_that_an_earlier_run_downloaded_verifies_the_files_of_the_next_one(stack: ImportStack) -> None:
    earlier = await run_with(stack, [LIST, link("https://h/d/a.iso")])
    await stack.records.files.apply_outcomes()
    await stack.records.files.release(earlier.driver)
    [source] = [await stack.records.operations.get(id) for id in earlier.sources]
    assert source is not None
    run = await reserve(stack, source, retry=True)
    await checksum_lists_of(stack).apply(run)
    [file] = await stack.records.files.of_run(run.id, 0, 9)
    assert (file.status, file.link.checksum) == ("reserved", f"sha-256={SHA256}")


async def test_a_list_that_was_not_downloaded_leaves_the_files_beside_it(stack: ImportStack) -> None:
    run = await run_with(stack, [LIST, link("https://h/d/a.iso")], None)
    assert await checksums(stack, run) == [("reserved", None)]
    assert await reports(stack, run) == []


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("nothing", "it has no line with a checksum and a name"),
        (SHA256, "it has no line with a checksum and a name"),
        ("x" * 200, "it is longer than 0 MiB"),
        ("gone", "it cannot be read (STORAGE_ERROR)"),
    ],
)
async def test_a_list_that_cannot_be_used_is_reported_once(
    stack: ImportStack, monkeypatch: pytest.MonkeyPatch, text: str, problem: str
) -> None:
    monkeypatch.setattr(checksum_lists, "MAX_LIST_BYTES", 100)
    listed = replace(LIST, url="https://ann:s3cret@h/d/SHA256SUMS", line=4)
    run = await run_with(stack, [listed, link("https://h/d/a.iso")], text)
    if text == "gone":
        next((stack.root / "d").iterdir()).unlink()
    for _ in range(2):
        assert await checksums(stack, run) == [("reserved", None)]
    [entry] = await reports(stack, run)
    assert (entry.reason, entry.line, entry.channel) == ("unusable_list", 4, "l")
    assert entry.detail == f"the list of checksums https://h/d/SHA256SUMS cannot be used: {problem}"


async def test_lines_of_a_list_that_cannot_be_read_are_reported_once(stack: ImportStack) -> None:
    run = await run_with(stack, [LIST, link("https://h/d/a.iso")], f"# ours\n\n{SUMS}nonsense\nRMD160 (a.iso) = 00\n")
    for _ in range(2):
        assert await checksums(stack, run) == [("reserved", f"sha-256={SHA256}")]
    [entry] = await reports(stack, run)
    assert entry.reason == "malformed"
    assert entry.detail == (
        "the list of checksums https://h/d/SHA256SUMS has 2 lines without a name and a known checksum, "
        "the first at line 5"
    )


@pytest.mark.parametrize("name", ["parse_checksum_list", "place_of"])
async def test_other_tasks_run_while_a_list_is_parsed_and_compared(
    stack: ImportStack, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    entered, released = threading.Event(), threading.Event()
    real = getattr(checksum_lists, name)

    def wait(*args: Any) -> Any:
        assert threading.current_thread() is not threading.main_thread()
        entered.set()
        # The test releases it: on the event loop, this waits in vain.
        assert released.wait(20)
        return real(*args)

    run = await run_with(stack, [LIST, link("https://h/d/a.iso")])
    monkeypatch.setattr(checksum_lists, name, wait)
    applying = asyncio.create_task(checksums(stack, run))
    await wait_until(entered.is_set)
    released.set()
    assert await applying == [("reserved", f"sha-256={SHA256}")]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le"])
async def test_a_list_of_windows_is_read(stack: ImportStack, encoding: str) -> None:
    run = await run_with(stack, [LIST, link("https://h/d/ä.iso")], "")
    [path] = (stack.root / "d").iterdir()
    path.write_text(f"{SHA256}  ä.iso\n", encoding)
    assert await checksums(stack, run) == [("reserved", f"sha-256={SHA256}")]


async def test_a_server_may_be_spelled_in_two_ways(stack: ImportStack) -> None:
    run = await run_with(stack, [LIST, link("HTTPS://H:443/d/a.iso")])
    assert await checksums(stack, run) == [("reserved", f"sha-256={SHA256}")]


@pytest.mark.parametrize(
    ("text", "error", "problem"),
    [
        (None, "REMOTE_FILE_NOT_FOUND", "it was not downloaded"),
        ("nothing", "CHECKSUM_MISMATCH", "it has no line with a checksum and a name"),
        (f"{SHA256}  b.iso", "CHECKSUM_MISMATCH", "it has no checksum that is only of this file"),
    ],
)
async def test_a_file_whose_list_was_given_by_its_url_and_does_not_have_it_fails(
    stack: ImportStack, text: str | None, error: str, problem: str
) -> None:
    given = link("https://other/a.iso", checksum_list=LIST.url)
    run = await run_with(stack, [LIST, given], text)
    assert await checksums(stack, run) == [("failed", None)]
    [_, file] = await stack.records.files.of_run(run.id, 0, 9)
    assert file.error == error
    assert file.error_detail == f"the list of checksums {LIST.url} does not verify the file: {problem}"
    assert make_manifest_entry(file).detail == file.error_detail


async def test_a_file_has_the_error_of_its_list_and_not_that_of_its_earlier_download(stack: ImportStack) -> None:
    earlier = await run_with(stack, [LIST, link("https://other/a.iso", checksum_list=LIST.url)], None)
    [file] = await stack.records.files.claim(earlier.driver, 9, stack.operations.new_download_id)
    await start(stack, file.download_id or "")
    await stack.downloads.finish(file.download_id, State.FAILED, error=ErrorCode.NETWORK_ERROR)
    await stack.records.files.apply_outcomes()
    source = await stack.records.operations.get(earlier.sources[0])
    assert source is not None
    assert await checksums(stack, await reserve(stack, source, retry=True)) == [("failed", None)]
    [_, file] = await stack.records.files.of_import(source.id, 0, 9)
    assert file.error == "REMOTE_FILE_NOT_FOUND"


async def test_a_list_that_was_given_by_its_url_has_the_file_by_its_name(stack: ImportStack) -> None:
    given = [
        link("https://other/x", checksum_list=LIST.url, name="a.iso"),
        link("https://o/b.iso", checksum_list=LIST.url),
    ]
    assert await checksums(stack, await run_with(stack, [LIST, *given])) == [
        ("reserved", f"sha-256={SHA256}"),
        ("reserved", f"sha-256={'cd' * 32}"),
    ]


@pytest.mark.parametrize("base", ["https://h/d", "https://mirror/pub/x"])
async def test_of_files_with_the_same_name_the_one_with_the_same_path_is_meant(stack: ImportStack, base: str) -> None:
    paths = ("amd64/i.iso", "arm64/i.iso", "other/i.iso")
    files = [link(f"{base}/{path}", checksum_list=LIST.url) for path in paths]
    files.append(link("https://z/1", checksum_list=LIST.url, directory="arm64", name="i.iso"))
    text = f"{SHA256}  amd64/i.iso\n{'cd' * 32}  arm64/i.iso\n"
    assert await checksums(stack, await run_with(stack, [LIST, *files], text)) == [
        ("reserved", f"sha-256={SHA256}"),
        ("reserved", f"sha-256={'cd' * 32}"),
        ("failed", None),
        ("reserved", f"sha-256={'cd' * 32}"),
    ]


async def test_the_file_beside_the_list_is_not_that_of_a_directory_below(stack: ImportStack) -> None:
    files = [link(f"https://h/d/{path}", checksum_list=LIST.url) for path in ("i.iso", "amd64/i.iso")]
    text = f"{SHA256}  amd64/i.iso\n{'cd' * 32}  i.iso\n"
    assert await checksums(stack, await run_with(stack, [LIST, *files], text)) == [
        ("reserved", f"sha-256={'cd' * 32}"),
        ("reserved", f"sha-256={SHA256}"),
    ]


@pytest.mark.parametrize("given", ["", LIST.url])
async def test_the_strongest_checksum_of_a_file_is_used(stack: ImportStack, given: str) -> None:
    """The file is that of its directory, or has a list of its own, with two checksums."""
    weak = link("https://h/d/MD5SUMS", is_checksum_list=True)
    md5 = f"{'ef' * 16}  a.iso\n"
    texts = (f"{md5}{SHA256}  a.iso\n{md5}", md5)
    run = await run_with(stack, [LIST, weak, link("https://h/d/a.iso", checksum_list=given)], *texts)
    assert await checksums(stack, run) == [("reserved", f"sha-256={SHA256}")]
