"""Changes of downloads by users, with real records, a real directory and a real client."""

import asyncio
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

from downloadd.download import Conflict, Download, Snapshot
from downloadd.download_request import DownloadRequest, RequestFieldParameters
from downloadd.errors import (
    DomainBlockedError,
    ErrorCode,
    FileExistsAlreadyError,
    InvalidParameterError,
    InvalidPathError,
    InvalidStateError,
    NotFoundError,
    RemoteError,
)
from downloadd.events import DownloadChanged, DownloadEnded
from downloadd.manager import lifecycle
from downloadd.manager.protocol import DownloadChange
from downloadd.manager.run import StopReason
from downloadd.manager.run_restart import Change
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


async def has_no_connections(stack: ManagerStack) -> bool:
    return (await stack.dispatcher.origins.usage()).connections == 0


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


# -- restarts ----------------------------------------------------------------------------------------------------------

ONE = replace(CONFIG, max_concurrent=1, max_per_host=1)
NEW_FIELDS = DownloadChange(fields=RequestFieldParameters(headers={"X-New": "2"}))


async def test_new_request_fields_restart_a_run_in_its_slot(tmp_path: Path, origin: Origin) -> None:
    async with open_stack(tmp_path, ONE) as stack:
        id = await hold(stack, origin)
        other = await start(stack, origin, priority=9)
        with stack.bus.subscribe() as subscription:
            await stack.manager.amend(id, NEW_FIELDS)
            ended = await stack.manager.wait(id, 20)
            events = [published.event for published in await subscription.receive()]
        own = [event for event in events if isinstance(event, DownloadChanged) and event.snapshot.download.id == id]
        states = {event.snapshot.download.state for event in own} | {event.before for event in own}
        first, second = origin.requests("/held")
        assert (first.field("X-New"), second.field("X-New")) == (None, "2")
        assert (second.field("Range") or "").startswith("bytes=")
        assert (ended.state, ended.progress.attempt, ended.epoch) == (State.COMPLETED, 1, 2)
        # Subscribers see one transfer.
        assert State.STARTING in states
        assert not {State.QUEUED, State.PAUSED} & states
        # The other one has waited, though it stands before it.
        await origin.wait_requested("/f")
        assert second.received_at < origin.requests("/f")[0].received_at
        assert (await stack.manager.wait(other, 20)).state is State.COMPLETED
        await wait_until(lambda: has_no_connections(stack))


async def test_a_url_of_another_origin_waits_for_a_slot_there(tmp_path: Path, origin: Origin) -> None:
    async with Origin() as elsewhere, open_stack(tmp_path, ONE) as stack:
        elsewhere.script("/new", ScriptedResponse(size=SIZE, etag='"v"'))
        id = await hold(stack, origin)
        other = await start(stack, origin, priority=9)
        changed = await stack.manager.amend(id, DownloadChange(url=elsewhere.url("/new")))
        assert changed.download.request.url == elsewhere.url("/new")
        for one in (other, id):
            assert (await stack.manager.wait(one, 20)).state is State.COMPLETED
        assert len(elsewhere.requests("/new")) == 1
        await wait_until(lambda: has_no_connections(stack))


async def test_a_place_and_requests_are_changed_together(stack: ManagerStack, origin: Origin) -> None:
    id = await hold(stack, origin)
    change = replace(NEW_FIELDS, directory="e", filename="n", mirrors=[origin.url("/f")])
    await stack.manager.amend(id, change)
    assert (await stack.manager.wait(id, 20)).state is State.COMPLETED
    assert stack.files() == {"e/n": WHOLE}


async def test_a_value_that_is_refused_does_not_stop_the_run(stack: ManagerStack, origin: Origin) -> None:
    id = await hold(stack, origin)
    with pytest.raises(DomainBlockedError):
        await stack.manager.amend(id, DownloadChange(url="http://[::1]/"))
    assert (await stack.manager.get(id)).download.state is State.DOWNLOADING
    assert len(origin.requests("/held")) == 1


@pytest.mark.parametrize("count", [1, 3])
async def test_changes_and_other_actions_at_the_same_time_are_all_applied(
    tmp_path: Path, origin: Origin, count: int
) -> None:
    async with open_stack(tmp_path, ONE) as stack:
        id = await hold(stack, origin)
        changes = [stack.manager.amend(id, NEW_FIELDS) for _ in range(count)]
        *_, paused = await asyncio.gather(*changes, stack.manager.pause(id))
        assert paused.download.state is State.PAUSED
        row = (await stack.manager.get(id)).download
        assert row.state is State.PAUSED
        assert row.request.fields is not None
        await wait_until(lambda: len(stack.runs) == 0)
        await wait_until(lambda: has_no_connections(stack))
        await stack.manager.resume(id)
        await asyncio.gather(stack.manager.amend(id, NEW_FIELDS), stack.manager.amend(id, DownloadChange(priority=3)))
        ended = await stack.manager.wait(id, 20)
        assert (ended.state, ended.control.priority) == (State.COMPLETED, 3)


async def test_a_cancel_ends_a_download_that_is_being_restarted(tmp_path: Path, origin: Origin) -> None:
    async with open_stack(tmp_path, ONE) as stack:
        id = await hold(stack, origin)
        await asyncio.gather(stack.manager.amend(id, NEW_FIELDS), stack.manager.cancel(id), return_exceptions=True)
        assert (await stack.manager.get(id)).download.state is State.CANCELLED
        await wait_until(lambda: len(stack.runs) == 0)
        await wait_until(lambda: has_no_connections(stack))
        assert (await stack.manager.wait(await start(stack, origin), 20)).state is State.COMPLETED


async def test_a_change_at_the_end_of_a_run_is_made_or_refused(stack: ManagerStack, origin: Origin) -> None:
    ids = [await start(stack, origin, directory=f"d{number}") for number in range(10)]
    results = await asyncio.gather(*(stack.manager.amend(id, NEW_FIELDS) for id in ids), return_exceptions=True)
    for id, result in zip(ids, results, strict=True):
        assert isinstance(result, Snapshot | InvalidStateError)
        assert (await stack.manager.wait(id, 20)).state is State.COMPLETED


async def test_a_change_whose_run_does_not_end_is_refused_when_it_is_aborted(
    tmp_path: Path, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_stack(tmp_path, ONE) as stack:
        id = await hold(stack, origin)
        active = stack.runs.get(id)
        assert active is not None
        with monkeypatch.context() as patch:
            patch.setattr(active.run, "stop", lambda reason: None)
            changing = asyncio.create_task(stack.manager.amend(id, NEW_FIELDS))
            await wait_until(lambda: active.restarts)
            failed = await stack.records.save(lifecycle.mark_failed(active.run.download, RemoteError(500), now=1))
            assert failed is not None
            stack.runner.abort(active, failed)
            with pytest.raises(InvalidStateError):
                await changing
        active.run.stop(StopReason.CANCEL)
        await wait_until(lambda: active.task is None or active.task.done())


async def test_a_change_whose_run_ends_while_its_row_is_read_is_made_or_refused(
    stack: ManagerStack, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish = asyncio.Event()
    origin.script("/late", ScriptedResponse(size=SIZE, body_event=finish))
    id = await start(stack, origin, "/late")
    await origin.wait_requested("/late")
    get = stack.records.get

    async def get_slowly(id: str) -> Download | None:
        row = await get(id)
        finish.set()
        await wait_until(lambda: len(stack.runs) == 0)
        return row

    monkeypatch.setattr(stack.records, "get", get_slowly)
    async with asyncio.timeout(CONDITION_TIMEOUT):
        results = await asyncio.gather(stack.manager.amend(id, NEW_FIELDS), return_exceptions=True)
    assert isinstance(results[0], Snapshot | InvalidStateError)
    finish.set()


@pytest.mark.parametrize("action", ["cancel", "pause"])
async def test_an_action_between_the_end_of_a_run_and_the_change_is_published_once_and_last(
    stack: ManagerStack, origin: Origin, monkeypatch: pytest.MonkeyPatch, action: str
) -> None:
    id = await hold(stack, origin)
    row = (await stack.manager.get(id)).download
    amend, crossing = stack.records.amend, asyncio.Event()

    async def act_first(id: str, change: Change) -> tuple[Download, Download] | None:
        recorded = await stack.records.get(id)
        if recorded is not None and recorded.state is State.QUEUED and not crossing.is_set():
            crossing.set()
            await getattr(stack.manager, action)(id)
        return await amend(id, change)

    monkeypatch.setattr(stack.records, "amend", act_first)
    # So that the next run would not begin at once.
    stack.dispatcher.slots.free(row.seq)
    with stack.bus.subscribe() as subscription:
        await asyncio.gather(stack.manager.amend(id, NEW_FIELDS), return_exceptions=True)
        assert crossing.is_set()
        await wait_until(lambda: len(stack.runs) == 0)
        events = [published.event for published in await subscription.receive()]
    assert [type(event) for event in events] == [DownloadEnded if action == "cancel" else DownloadChanged]
    assert await stack.dispatcher.queue.count_waiting() == 0
