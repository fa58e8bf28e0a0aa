"""Changes of downloads by users, with real records, a real directory and a real client."""

import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from support.machine import not_allowed
from support.manager_stack import CONFIG, ManagerStack, open_stack
from support.origin.content import expected_bytes
from support.origin.origin import Origin
from support.origin.scripted_response import ScriptedResponse
from support.waiting import CONDITION_TIMEOUT, wait_until

from downloadd.download import Conflict
from downloadd.download_request import DownloadRequest, RequestFieldParameters
from downloadd.errors import (
    DomainBlockedError,
    ErrorCode,
    FileExistsAlreadyError,
    InvalidParameterError,
    InvalidPathError,
    InvalidStateError,
    NotFoundError,
)
from downloadd.manager.protocol import DownloadChange
from downloadd.states import State

SIZE = 3 << 20
HELD = 1 << 20
WHOLE = expected_bytes(0, 0, SIZE)
NOBODY = "00000000-0000-7000-8000-000000000000"


@pytest.fixture
async def origin() -> AsyncIterator[Origin]:
    async with Origin() as origin:
        origin.script("/f", ScriptedResponse(size=SIZE, etag='"v"'))
        yield origin


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[ManagerStack]:
    async with open_stack(tmp_path) as stack:
        yield stack


async def start(stack: ManagerStack, origin: Origin, path: str = "/f", **parameters: Any) -> str:
    request = DownloadRequest(url=origin.url(path), **{"directory": "d", **parameters})
    return (await stack.manager.start([request], user="ann")).downloads[0].id


async def hold(stack: ManagerStack, origin: Origin) -> str:
    """Return a running download that has some bytes; the next attempt receives the rest."""
    first = ScriptedResponse(size=SIZE, etag='"v"', stall_after=HELD)
    origin.script("/held", [first, ScriptedResponse(size=SIZE, etag='"v"')])
    id = await start(stack, origin, "/held")
    await wait_until(lambda: received(stack, id))
    return id


async def received(stack: ManagerStack, id: str) -> bool:
    return (await stack.manager.get(id)).download.progress.received >= HELD


async def test_a_running_download_is_published_under_its_new_name_and_directory_without_an_interruption(
    stack: ManagerStack, origin: Origin
) -> None:
    origin.script("/slow", ScriptedResponse(size=SIZE, rate=2 * SIZE))
    id = await start(stack, origin, "/slow")
    await wait_until(lambda: received(stack, id))
    change = DownloadChange(directory="e/below", filename="n", conflict=Conflict.ERROR, segments=3)
    changed = await stack.manager.amend(id, change)
    assert (changed.download.file_path, changed.download.state) == ("e/below/n", State.DOWNLOADING)
    ended = await stack.manager.wait(id, CONDITION_TIMEOUT)
    assert (ended.state, ended.file_path, ended.progress.attempt) == (State.COMPLETED, "e/below/n", 1)
    assert stack.files() == {"e/below/n": WHOLE}
    assert len(origin.requests("/slow")) == 1, "the origin has no validator, so that nothing could be continued"


@pytest.mark.parametrize("is_paused_before", [True, False])
async def test_a_paused_download_goes_on_with_its_bytes_in_another_directory(
    stack: ManagerStack, origin: Origin, is_paused_before: bool
) -> None:
    id = await hold(stack, origin)
    if is_paused_before:
        await stack.manager.pause(id)
    await stack.manager.amend(id, DownloadChange(directory="e", filename="n"))
    if not is_paused_before:
        await stack.manager.pause(id)
    assert [path for path in stack.files() if path.startswith("d/.")], "the part file stays"
    assert (await stack.manager.get(id)).download.file_path == "e/n"
    await stack.manager.resume(id)
    assert (await stack.manager.wait(id, CONDITION_TIMEOUT)).state is State.COMPLETED
    assert stack.files() == {"e/n": WHOLE}
    assert (origin.requests("/held")[-1].field("Range") or "").startswith("bytes=")


async def test_the_part_file_of_a_download_in_another_directory_is_removed_with_it(
    stack: ManagerStack, origin: Origin
) -> None:
    id = await hold(stack, origin)
    await stack.manager.amend(id, DownloadChange(directory="e"))
    await stack.manager.pause(id)
    assert stack.files() != {}
    await stack.manager.cancel(id)
    assert stack.files() == {}


async def test_a_kept_part_file_in_another_directory_is_found_and_removed(tmp_path: Path, origin: Origin) -> None:
    async with open_stack(tmp_path, replace(CONFIG, max_retries=0, stall_timeout=0.5)) as stack:
        id = await hold(stack, origin)
        await stack.manager.amend(id, DownloadChange(directory="e", max_retries=0))
        assert (await stack.manager.wait(id, CONDITION_TIMEOUT)).state is State.FAILED
        [kept] = await stack.records.kept_parts.page()
        assert (kept.directory, kept.received) == ("d", HELD)
        await stack.manager.retry(id)
        assert (await stack.manager.wait(id, CONDITION_TIMEOUT)).state is State.COMPLETED
        assert stack.files() == {"e/held": WHOLE}


async def test_request_fields_and_mirrors_of_a_paused_download_are_replaced(
    stack: ManagerStack, origin: Origin
) -> None:
    id = await start(stack, origin, paused=True, headers={"X-Old": "1"})
    fields = RequestFieldParameters(headers={"X-New": "2"}, user_agent="Mine")
    await stack.manager.amend(id, DownloadChange(fields=fields, mirrors=[origin.url("/f?2")], segments=2))
    changed = (await stack.manager.get(id)).download
    assert [mirror.url for mirror in changed.request.mirrors] == [origin.url("/f?2")]
    await stack.manager.resume(id)
    assert (await stack.manager.wait(id, CONDITION_TIMEOUT)).state is State.COMPLETED
    [first, *_] = origin.requests("/f")
    assert (first.field("X-New"), first.field("X-Old"), first.field("User-Agent")) == ("2", None, "Mine")


async def test_options_hold_for_a_download_that_waits(tmp_path: Path, origin: Origin) -> None:
    async with open_stack(tmp_path, replace(CONFIG, max_retries=5)) as stack:
        origin.script("/cut", ScriptedResponse(size=SIZE, etag='"v"', cut_after=0))
        id = await start(stack, origin, "/cut", paused=True, retry_wait=60)
        await stack.manager.amend(id, DownloadChange(max_retries=0))
        await stack.manager.resume(id)
        ended = await stack.manager.wait(id, CONDITION_TIMEOUT)
        assert (ended.state, ended.result.error, ended.progress.attempt) == (State.FAILED, ErrorCode.NETWORK_ERROR, 1)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (DownloadChange(directory="../x"), InvalidPathError),
        (DownloadChange(filename="a/b"), InvalidPathError),
        (DownloadChange(filename="x" * 256), InvalidPathError),
        (DownloadChange(checksum="sha-256=1"), InvalidParameterError),
        (DownloadChange(url="http://[::1]/"), DomainBlockedError),
        (DownloadChange(mirrors=["http://[::1]/"]), DomainBlockedError),
        (DownloadChange(fields=RequestFieldParameters(headers={"Host": "x"})), InvalidParameterError),
        (DownloadChange(fields=RequestFieldParameters(proxy="nowhere")), InvalidParameterError),
        (DownloadChange(conflict=Conflict.ERROR, filename="taken"), FileExistsAlreadyError),
        (DownloadChange(conflict=Conflict.ERROR, directory="e", filename="taken"), FileExistsAlreadyError),
    ],
)
async def test_a_value_is_checked_as_at_the_start(
    stack: ManagerStack, origin: Origin, change: DownloadChange, error: type[Exception]
) -> None:
    for directory in ("d", "e"):
        (stack.root / directory).mkdir()
        (stack.root / directory / "taken").touch()
    id = await start(stack, origin, paused=True)
    before = (await stack.manager.get(id)).download
    with pytest.raises(error):
        await stack.manager.amend(id, change)
    assert (await stack.manager.get(id)).download == before


async def test_an_unknown_download_is_not_found(stack: ManagerStack) -> None:
    for change in (DownloadChange(directory="e"), DownloadChange(segments=2)):
        with pytest.raises(NotFoundError):
            await stack.manager.amend(NOBODY, change)


async def test_a_directory_on_another_file_system_is_refused_if_there_are_bytes(
    stack: ManagerStack, origin: Origin
) -> None:
    place = stack.root / "mounted"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "tmpfs", place], capture_output=True).returncode:
        not_allowed("mount a tmpfs")
    try:
        empty = await start(stack, origin, paused=True)
        await stack.manager.amend(empty, DownloadChange(directory="mounted/x"))
        await stack.manager.resume(empty)
        assert (await stack.manager.wait(empty, CONDITION_TIMEOUT)).state is State.COMPLETED
        assert (place / "x" / "f").read_bytes() == WHOLE
        id = await hold(stack, origin)
        with pytest.raises(InvalidStateError, match="the received bytes are in d, and mounted is on another file"):
            await stack.manager.amend(id, DownloadChange(directory="mounted"))
        assert (await stack.manager.get(id)).download.file_path == "d/held"
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)


async def test_a_directory_that_becomes_another_file_system_later_delays_the_file_and_loses_nothing(
    stack: ManagerStack, origin: Origin
) -> None:
    id = await hold(stack, origin)
    await stack.manager.amend(id, DownloadChange(directory="e"))
    await stack.manager.pause(id)
    place = stack.root / "e"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "tmpfs", place], capture_output=True).returncode:
        not_allowed("mount a tmpfs")
    try:
        await stack.manager.resume(id)

        async def waits() -> bool:
            row = (await stack.manager.get(id)).download
            return row.state is State.RETRYING and row.result.error is ErrorCode.STORAGE_ERROR

        await wait_until(waits)
        detail = (await stack.manager.get(id)).download.result.detail
        assert detail is not None
        assert "e is on another file system" in detail
        await stack.manager.amend(id, DownloadChange(directory="g"))
        await stack.manager.retry(id)
        assert (await stack.manager.wait(id, CONDITION_TIMEOUT)).state is State.COMPLETED
        assert stack.files() == {"g/held": WHOLE}
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)
