"""Errors of the file systems of NFS, SMB, FUSE, exFAT and eCryptfs at each step of a download, injected."""

import errno
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NoReturn

import pytest
from msgspec.structs import replace
from support.dispatchers import describe_wait
from support.manager_stack import CONFIG, ManagerStack, open_stack
from support.origin.content import expected_bytes
from support.origin.origin import Origin
from support.origin.scripted_response import ScriptedResponse
from support.refusing_disk import RefusingDisk
from support.waiting import wait_until

from downloadd.download import Conflict, Download
from downloadd.download_request import DownloadRequest
from downloadd.errors import ErrorCode
from downloadd.manager import retry, storage_gate
from downloadd.records.protocol import ActiveFilter, HistoryFilter
from downloadd.states import State
from downloadd.storage import publisher

SIZE = 1_200_000
"""More than is held in memory, and published by another process."""
WRITES = frozenset({"pwritev", "splice", "pwrite", "write"})


def named(value: object) -> str:
    """Return the name of an error, for the id of a test."""
    return errno.errorcode[value] if isinstance(value, int) else str(value)


@pytest.fixture
async def origin() -> AsyncIterator[Origin]:
    async with Origin(fallback=lambda request: ScriptedResponse(size=SIZE, etag='"v"')) as origin:
        yield origin


@pytest.fixture
async def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ManagerStack]:
    monkeypatch.setattr(storage_gate, "STORAGE_CHECK_SECONDS", 0.02)
    monkeypatch.setattr(retry, "INITIAL_STORAGE_DELAY_SECONDS", 0.02)
    monkeypatch.setattr(retry, "INITIAL_DELAY_SECONDS", 0.02)
    async with open_stack(tmp_path, replace(CONFIG, max_retries=0), fsync=True) as stack:
        yield stack


@pytest.fixture
def disk(stack: ManagerStack, monkeypatch: pytest.MonkeyPatch) -> RefusingDisk:
    return RefusingDisk(monkeypatch, stack.root)


async def start(stack: ManagerStack, url: str, **fields: object) -> str:
    request = replace(DownloadRequest(url=url, directory="d"), **fields)
    return (await stack.manager.start([request], user="ann")).downloads[0].id


async def waiting(stack: ManagerStack) -> list[Download]:
    """Return the downloads that wait for another attempt after a failure of the storage."""
    rows = [snapshot.download for snapshot in await stack.manager.active(ActiveFilter())]
    return [row for row in rows if row.state is State.RETRYING and row.result.error is ErrorCode.STORAGE_ERROR]


async def is_ended(stack: ManagerStack, id: str) -> bool:
    return id in {row.id for row in await stack.records.history(HistoryFilter())}


async def ended(stack: ManagerStack) -> Download:
    """Return the one download that has ended."""
    rows: list[Download] = await wait_until(lambda: stack.records.history(HistoryFilter()))
    [row] = rows
    return row


def published(stack: ManagerStack) -> dict[str, bytes]:
    return {path: content for path, content in stack.files().items() if not path.endswith(".part")}


@pytest.mark.parametrize(
    ("call", "number"),
    [
        ("mkdir", errno.ESTALE),
        ("create", errno.ENOTCONN),
        ("create", errno.EKEYEXPIRED),
        ("write", errno.EHOSTDOWN),
        ("write", errno.ETIMEDOUT),
        ("fsync", errno.EREMOTEIO),
        ("link", errno.ENODEV),
    ],
    ids=named,
)
async def test_a_disk_below_the_root_that_is_away_fails_no_download_and_delays_no_other(
    stack: ManagerStack, disk: RefusingDisk, origin: Origin, call: str, number: int
) -> None:
    (stack.root / "mount").mkdir()
    disk.refuse(number, WRITES if call == "write" else {call}, below="mount")
    id = await start(stack, origin.url("/f"), directory="mount/d", timeout=1)

    async def has_tried(attempt: int) -> list[Download]:
        return [row for row in await waiting(stack) if row.progress.attempt >= attempt]

    # Longer than it would take with attempts that count.
    [row] = await wait_until(lambda: has_tried(3))
    assert row.progress.failures == 0
    assert os.strerror(number) in str(row.result.detail)
    if call in {"create", "write"}:
        # The disk is tried before the origin is asked again.
        assert len(origin.requests("/f")) == 1
    await start(stack, origin.url("/g"))
    assert (await ended(stack)).id != id
    disk.accept()
    await wait_until(lambda: is_ended(stack, id))
    rows = await stack.records.history(HistoryFilter())
    assert [(row.state, row.result.error) for row in rows] == [(State.COMPLETED, None)] * 2
    assert published(stack) == {path: expected_bytes(0, 0, SIZE) for path in ("mount/d/f", "d/g")}


# Those in the second half may concern one file or the whole disk, which is tried.
@pytest.mark.parametrize("number", [errno.ESTALE, errno.EHOSTDOWN, errno.EIO, errno.EROFS, errno.EACCES], ids=named)
async def test_a_disk_that_refuses_every_write_holds_the_queue(
    stack: ManagerStack, disk: RefusingDisk, origin: Origin, number: int
) -> None:
    disk.refuse(number)
    await start(stack, origin.url("/0"))
    [row] = await wait_until(lambda: waiting(stack))
    assert row.progress.failures == 0

    async def is_held() -> bool:
        return os.strerror(number) in await describe_wait(stack.dispatcher.queue, "a")

    await wait_until(is_held)
    for path in ("/1", "/2"):
        await start(stack, origin.url(path))
    assert [len(origin.requests(path)) for path in ("/0", "/1", "/2")] == [1, 0, 0]
    disk.accept()

    async def are_ended() -> bool:
        return len(await stack.records.history(HistoryFilter())) == 3

    await wait_until(are_ended)
    assert {row.state for row in await stack.records.history(HistoryFilter())} == {State.COMPLETED}
    assert len(published(stack)) == 3


@pytest.mark.parametrize(
    ("call", "number"), [("mkdir", errno.EIO), ("create", errno.EROFS), ("fsync", errno.EIO)], ids=named
)
async def test_an_error_of_one_directory_fails_its_downloads_and_holds_no_other(
    stack: ManagerStack, disk: RefusingDisk, origin: Origin, call: str, number: int
) -> None:
    (stack.root / "d").mkdir()
    disk.refuse(number, {call}, below="d")
    await start(stack, origin.url("/f"), directory="d/e")
    row = await ended(stack)
    assert (row.state, row.result.error) == (State.FAILED, ErrorCode.STORAGE_ERROR)
    assert os.strerror(number) in str(row.result.detail)
    assert await describe_wait(stack.dispatcher.queue, "a") == "about to start"


@pytest.mark.parametrize("refused", [{"fsync"}, {"fsync", "rename", "unlink"}], ids=["name undone", "name set"])
@pytest.mark.parametrize("number", [errno.ENOTCONN, errno.EIO], ids=named)
async def test_a_file_whose_disk_goes_away_during_its_publication_is_there_once(
    stack: ManagerStack,
    disk: RefusingDisk,
    origin: Origin,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    refused: set[str],
) -> None:
    real = os.link

    def link(*arguments: Any, **options: Any) -> None:
        real(*arguments, **options)
        disk.refuse(number, refused | {"create"})

    monkeypatch.setattr(os, "link", link)
    await start(stack, origin.url("/f"))
    await wait_until(lambda: waiting(stack))
    monkeypatch.setattr(os, "link", real)
    disk.accept()
    row = await ended(stack)
    assert (row.state, row.filename, row.result.error) == (State.COMPLETED, "f", None)
    assert stack.files() == {"d/f": expected_bytes(0, 0, SIZE)}
    if "rename" in refused:
        assert len(origin.requests("/f")) == 1


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT], ids=named)
@pytest.mark.parametrize("call", ["create", "write", "fsync"])
async def test_a_full_disk_or_quota_is_reported_as_full(
    stack: ManagerStack, disk: RefusingDisk, origin: Origin, call: str, number: int
) -> None:
    disk.refuse(number, WRITES if call == "write" else {call})
    await start(stack, origin.url("/f"))
    row = await ended(stack)
    assert (row.state, row.result.error) == (State.FAILED, ErrorCode.INSUFFICIENT_STORAGE)


@pytest.mark.parametrize(
    ("call", "number"),
    [
        ("mkdir", errno.EACCES),
        ("mkdir", errno.EINVAL),
        ("create", errno.ENOENT),
        ("create", errno.EILSEQ),
        # SMB: the name of the part file is taken, the final one is not.
        ("link", errno.EACCES),
        ("link", errno.EPERM),
        ("link", errno.EINVAL),
        ("link", errno.ENOENT),
    ],
    ids=named,
)
@pytest.mark.parametrize("conflict", [Conflict.RENAME, Conflict.OVERWRITE])
async def test_a_name_that_the_disk_refuses_is_an_invalid_path(
    stack: ManagerStack,
    disk: RefusingDisk,
    origin: Origin,
    monkeypatch: pytest.MonkeyPatch,
    call: str,
    number: int,
    conflict: Conflict,
) -> None:
    monkeypatch.setattr(publisher, "rename_without_replacing", no_such_rename)
    disk.refuse(number, {call, "rename"} if call == "link" else {call}, name="CON" if call == "mkdir" else "AUX")
    await start(stack, origin.url("/f"), directory="CON", filename="AUX", conflict=conflict)
    row = await ended(stack)
    assert (row.state, row.result.error) == (State.FAILED, ErrorCode.INVALID_PATH)
    assert "this disk does not support the name" in str(row.result.detail)
    disk.accept()
    await start(stack, origin.url("/f"))
    await wait_until(lambda: len(published(stack)) == 1)


@pytest.mark.parametrize("number", [errno.EPERM, errno.ENOSYS, errno.EIO, errno.ENOTCONN], ids=named)
async def test_no_error_of_an_attribute_fails_a_download(
    stack: ManagerStack, disk: RefusingDisk, origin: Origin, number: int
) -> None:
    disk.refuse(number, {"fchmod", "fchown", "utime"})
    await start(stack, origin.url("/f"))
    assert (await ended(stack)).state is State.COMPLETED


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EINVAL, errno.EACCES], ids=named)
async def test_a_disk_without_syncs_takes_downloads(
    stack: ManagerStack, disk: RefusingDisk, origin: Origin, number: int
) -> None:
    disk.refuse(number, {"fsync", "fdatasync"})
    await start(stack, origin.url("/f"))
    assert (await ended(stack)).state is State.COMPLETED


def no_such_rename(*_: object, **options: int) -> NoReturn:
    raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
