"""Events of a manager with real parts: each has the state before it."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest
from msgspec.structs import replace
from support.manager_stack import ManagerStack, open_stack
from support.origin.origin import Origin
from support.origin.scripted_response import ScriptedResponse, error_response
from support.waiting import CONDITION_TIMEOUT, wait_until

from downloadd.download import Conflict
from downloadd.download_request import DownloadRequest
from downloadd.errors import InvalidStateError
from downloadd.events import DownloadChanged, DownloadEnded, Event, EventBus
from downloadd.manager.protocol import DownloadChange
from downloadd.states import FINISHED, RUNNING, State

SIZE = 200_000
STALL_AFTER = 50_000

Step = tuple[State | None, State]
"""The state before an event, and the one after it."""

QUEUED = (None, State.QUEUED)
CLAIMED = (State.QUEUED, State.STARTING)
RESPONDED = (State.STARTING, State.DOWNLOADING)
STARTED = [QUEUED, CLAIMED, RESPONDED]


class StepRecorder:
    """Steps of each download, without those that change nothing, which have a number that depends on the time.

    Attributes:
        gaps: events that do not begin where the last one of their download ended.
    """

    def __init__(self) -> None:
        self.gaps: list[Event] = []
        self._steps: dict[str, list[Step]] = {}

    def record(self, event: Event) -> None:
        """Add the step of an event."""
        match event:
            case DownloadChanged():
                download = event.snapshot.download
            case DownloadEnded():
                download = event.download
            case _:
                return
        steps = self._steps.setdefault(download.id, [])
        if steps and event.before is not steps[-1][1]:
            self.gaps.append(event)
        if event.before is not download.state:
            steps.append((event.before, download.state))

    def of(self, id: str) -> list[Step]:
        """Return the steps of a download."""
        return self._steps.get(id, [])


@contextmanager
def recording(bus: EventBus) -> Iterator[StepRecorder]:
    """Record the steps of all downloads that are published inside of the block."""
    recorder, publish = StepRecorder(), bus.publish

    def record(event: Event) -> None:
        recorder.record(event)
        publish(event)

    with bus.subscribe(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(bus, "publish", record)
        yield recorder
    assert recorder.gaps == []


@pytest.fixture
async def origin() -> AsyncIterator[Origin]:
    async with Origin() as origin:
        origin.script("/a", ScriptedResponse(size=SIZE, etag='"a"'))
        origin.script("/slow", ScriptedResponse(size=SIZE, etag='"a"', stall_after=STALL_AFTER))
        origin.script("/gone", error_response(404))
        yield origin


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[ManagerStack]:
    async with open_stack(tmp_path) as stack:
        yield stack


@pytest.fixture
def steps(stack: ManagerStack) -> Iterator[StepRecorder]:
    with recording(stack.bus) as recorder:
        yield recorder


async def start(stack: ManagerStack, request: DownloadRequest) -> str:
    return (await stack.manager.start([request], user="ann")).downloads[0].id


def slow(origin: Origin) -> DownloadRequest:
    return DownloadRequest(url=origin.url("/slow"), directory="d")


async def start_and_receive(stack: ManagerStack, origin: Origin) -> str:
    """Return the id of a download that waits for more bytes."""
    id = await start(stack, slow(origin))

    def receives() -> bool:
        active = stack.runs.get(id)
        return active is not None and active.run.received_bytes == STALL_AFTER

    await wait_until(receives)
    return id


async def test_a_completed_download(stack: ManagerStack, origin: Origin, steps: StepRecorder) -> None:
    # Verification has a state of its own if it takes time.
    request = DownloadRequest(url=origin.url("/a"), directory="d", checksum="sha-256=" + "0" * 64)
    for each, end in (
        (replace(request, checksum=None), [(State.DOWNLOADING, State.COMPLETED)]),
        (request, [(State.DOWNLOADING, State.VERIFYING), (State.VERIFYING, State.FAILED)]),
    ):
        id = await start(stack, each)
        await stack.manager.wait(id, CONDITION_TIMEOUT)
        assert steps.of(id) == [*STARTED, *end]


async def test_a_failed_and_a_refused_download(stack: ManagerStack, origin: Origin, steps: StepRecorder) -> None:
    failed = await start(stack, DownloadRequest(url=origin.url("/gone"), directory="d"))
    await stack.manager.wait(failed, CONDITION_TIMEOUT)
    refused = await start(stack, DownloadRequest(url="nonsense", directory="d"))
    assert steps.of(failed) == [QUEUED, CLAIMED, (State.STARTING, State.FAILED)]
    await wait_until(lambda: steps.of(refused) == [(None, State.FAILED)])


async def test_a_skipped_download(stack: ManagerStack, origin: Origin, steps: StepRecorder) -> None:
    (stack.root / "d").mkdir()
    (stack.root / "d/f").write_bytes(b"")
    request = DownloadRequest(url=origin.url("/a"), directory="d", filename="f", conflict=Conflict.SKIP)
    id = await start(stack, request)
    await stack.manager.wait(id, CONDITION_TIMEOUT)
    *first, last = steps.of(id)
    assert first == STARTED[: len(first)]
    assert last[0] in RUNNING
    assert last[1] is State.SKIPPED


async def test_a_wait_for_the_next_attempt_and_a_retry_without_further_delay(
    stack: ManagerStack, origin: Origin, steps: StepRecorder
) -> None:
    whole = ScriptedResponse(size=SIZE, etag='"a"')
    origin.script("/cut", [replace(whole, cut_after=STALL_AFTER), error_response(503, retry_after="60"), whole])
    id = await start(stack, DownloadRequest(url=origin.url("/cut"), directory="d"))
    deferred = [*STARTED, (State.DOWNLOADING, State.RETRYING)]
    again = [*deferred, (State.RETRYING, State.DOWNLOADING), (State.DOWNLOADING, State.RETRYING)]
    await wait_until(lambda: steps.of(id) == again)
    await stack.manager.retry(id)
    assert steps.of(id) == [*again, (State.RETRYING, State.QUEUED)]


@pytest.mark.parametrize("state", [State.PAUSED, State.CANCELLED])
async def test_a_download_that_is_stopped_in_the_queue(
    stack: ManagerStack, origin: Origin, steps: StepRecorder, state: State
) -> None:
    stack.dispatcher.queue.set_suspension("held by the test")
    id = await start(stack, slow(origin))
    await (stack.manager.pause(id) if state is State.PAUSED else stack.manager.cancel(id))
    await wait_until(lambda: steps.of(id) == [QUEUED, (State.QUEUED, state)])


async def test_a_download_that_is_paused_while_it_runs_then_resumed_and_cancelled(
    stack: ManagerStack, origin: Origin, steps: StepRecorder
) -> None:
    id = await start_and_receive(stack, origin)
    await stack.manager.pause(id)
    paused = [*STARTED, (State.DOWNLOADING, State.PAUSED)]
    assert steps.of(id) == paused
    # It is paused already.
    await stack.manager.pause(id)
    stack.dispatcher.queue.set_suspension("held by the test")
    await stack.manager.resume(id)
    assert steps.of(id) == [*paused, (State.PAUSED, State.QUEUED)]
    await stack.manager.pause(id)
    await stack.manager.cancel(id)
    cancelled = [(State.QUEUED, State.PAUSED), (State.PAUSED, State.CANCELLED)]
    await wait_until(lambda: steps.of(id)[-2:] == cancelled)


async def test_a_download_that_is_cancelled_while_it_runs_and_retried(
    stack: ManagerStack, origin: Origin, steps: StepRecorder
) -> None:
    id = await start_and_receive(stack, origin)
    await stack.manager.cancel(id)
    cancelled = [*STARTED, (State.DOWNLOADING, State.CANCELLED)]
    assert steps.of(id) == cancelled
    stack.dispatcher.queue.set_suspension("held by the test")
    await stack.manager.retry(id)
    assert steps.of(id) == [*cancelled, (State.CANCELLED, State.QUEUED)]


async def test_a_failed_download_that_is_retried(stack: ManagerStack, origin: Origin, steps: StepRecorder) -> None:
    id = await start(stack, DownloadRequest(url=origin.url("/gone"), directory="d"))
    await stack.manager.wait(id, CONDITION_TIMEOUT)
    stack.dispatcher.queue.set_suspension("held by the test")
    await stack.manager.retry(id)
    assert steps.of(id)[-1] == (State.FAILED, State.QUEUED)


async def test_a_change_of_the_limits_is_no_change_of_the_state(
    stack: ManagerStack, origin: Origin, steps: StepRecorder
) -> None:
    id = await start_and_receive(stack, origin)
    await stack.manager.amend(id, DownloadChange(speed_limit=1000))
    assert steps.of(id) == STARTED
    await stack.manager.pause(id)
    await stack.manager.amend(id, DownloadChange(priority=5))
    stack.dispatcher.queue.set_suspension("held by the test")
    await stack.manager.resume(id)
    await stack.manager.amend(id, DownloadChange(priority=6))
    assert steps.of(id) == [*STARTED, (State.DOWNLOADING, State.PAUSED), (State.PAUSED, State.QUEUED)]


async def test_a_run_that_began_before_there_was_a_subscriber(stack: ManagerStack, origin: Origin) -> None:
    id = await start_and_receive(stack, origin)
    with recording(stack.bus) as steps:
        await stack.manager.pause(id)
        assert steps.of(id) == [(State.DOWNLOADING, State.PAUSED)]


async def test_a_restart(tmp_path: Path, origin: Origin) -> None:
    with ExitStack() as contexts:
        async with open_stack(tmp_path) as stack:
            id = await start_and_receive(stack, origin)
            steps = contexts.enter_context(recording(stack.bus))
        assert steps.of(id) == [(State.DOWNLOADING, State.QUEUED)]
    async with open_stack(tmp_path) as stack:
        with recording(stack.bus) as steps:
            await wait_until(lambda: (State.STARTING, State.DOWNLOADING) in steps.of(id))
            await stack.manager.cancel(id)
        assert steps.of(id)[-2:] == [RESPONDED, (State.DOWNLOADING, State.CANCELLED)]


@pytest.mark.system
async def test_a_user_action_at_any_moment(stack: ManagerStack, origin: Origin, steps: StepRecorder) -> None:
    """Act between any two iterations of the loop; each event continues the last one."""
    for turns in range(90):
        id = await start(stack, DownloadRequest(url=origin.url("/a"), directory="any"))
        for _ in range(turns):
            await asyncio.sleep(0)
            if turns > 40:
                await asyncio.sleep(0.0002)
        with suppress(InvalidStateError):
            await stack.manager.pause(id)
            await stack.manager.resume(id)
            await stack.manager.cancel(id)
        await stack.manager.wait(id, CONDITION_TIMEOUT)
        assert steps.of(id)[-1][1] in FINISHED
