"""Lives of a daemon that end at a chosen write, by SIGKILL, hundreds of them in a few seconds.

A run is a process of its own, with all parts from the manager down and real records, disk and sockets. It is forked
from a fork_server that has imported everything already, because to import is what takes long about a start.
"""

import asyncio
import errno
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self
from unittest.mock import patch

import msgspec
from support.fault_points import FaultPoints, kill_self
from support.manager_stack import CONFIG, ManagerStack, open_stack

from downloadd.download import Conflict, Download
from downloadd.errors import DownloadError, InvalidStateError
from downloadd.manager.admission import DownloadRequest
from downloadd.records.protocol import ActiveFilter, HistoryFilter
from downloadd.states import FINISHED, State

SECONDS: Final = 20.0
"""How long anything in a run may take."""
SHORT_DELAYS: Final = {
    "downloadd.manager.retry.INITIAL_DELAY_SECONDS": 0.01,
    "downloadd.manager.retry.INITIAL_STORAGE_DELAY_SECONDS": 0.01,
    "downloadd.manager.durable_write.STORE_RETRY_SECONDS": 0.01,
    "downloadd.transfer.segmented.CHECKPOINT_SECONDS": 0.01,
    "downloadd.manager.run_factory.MIN_FLUSH_SECONDS": 0.01,
    "downloadd.transfer.segments.MIN_SEGMENT_BYTES": 150_000,
}
"""What makes waits short, notes frequent, and segments small."""


class CrashRun(msgspec.Struct, frozen=True, kw_only=True):
    """What a fork_server is asked for."""

    folder: str
    scenario: str
    """The name of a function below."""
    origin: str = ""
    """Where the origin's URLs begin."""
    fault_at: int = 0
    """The number of the point at which the fault strikes; 0: it dies when its scenario is over."""
    fault: str | None = None
    """What every call is refused with from then on, as in `errno`; None: it dies."""
    fault_count: int = 1
    """So many calls are refused; then the disk is in order again."""
    from_start: bool = False
    """Whether fault_points count from the start of the parts on, and not only from their readiness on."""


class CrashResult(msgspec.Struct, frozen=True, kw_only=True):
    """How a run ended, and what its journal says."""

    lines: Sequence[str]
    is_killed_early: bool
    """It died before its scenario was over."""

    @property
    def points(self) -> list[str]:
        """The fault_points that it has come to, the one that it died at included."""
        return self.values("point")

    def values(self, what: str) -> list[str]:
        """What follows this word in the lines that begin with it."""
        return [line.partition(" ")[2] for line in self.lines if line.startswith(f"{what} ")]


class ForkServer:
    """The process that lives are forked from; gives one run after the other. To be used within `with`."""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "support.crash_runner"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()

    async def run(self, run: CrashRun) -> CrashResult:
        """Lets a run take its course."""
        return await asyncio.to_thread(self._run_once, run)

    def _run_once(self, run: CrashRun) -> CrashResult:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        journal = Path(run.folder) / "journal"
        journal.unlink(missing_ok=True)
        self._process.stdin.write(msgspec.json.encode(run) + b"\n")
        self._process.stdin.flush()
        status = int(self._process.stdout.readline())
        lines = journal.read_text().splitlines()
        assert status == -signal.SIGKILL, "\n".join([f"{run} ended with {status}", *lines])
        return CrashResult(lines=lines, is_killed_early="over" not in lines)


# -- in the run -------------------------------------------------------------------------------------------------------


class ScenarioContext:
    """What a scenario has to act with. Whatever it tells has been answered to a user, and holds from then on."""

    def __init__(self, stack: ManagerStack, run: CrashRun, fault_points: FaultPoints) -> None:
        self.stack = stack
        self.manager = stack.manager
        self.record = fault_points.record
        self._run = run

    async def start(self, path: str, **options: Any) -> str:
        request = DownloadRequest(url=self._run.origin + path, directory="d", **options)
        started = await self.manager.start([request], user="u")
        id = started.downloads[0].id
        self.record(f"accepted {id}")
        return id

    async def ends(self, id: str) -> Download:
        row = await self.manager.wait(id, SECONDS)
        assert row.state in FINISHED, row
        self.record(f"ended {id} {row.state}")
        return row

    async def receives(self, id: str, nbytes: int) -> None:
        async with asyncio.timeout(SECONDS):
            while (await self.manager.get(id)).download.progress.received < nbytes:
                if (await self.manager.get(id)).download.state in FINISHED:
                    break
                await asyncio.sleep(0.002)

    async def run_to_end(self) -> None:
        """The fault is over: everything that was accepted comes to its end, and so does what is new."""
        rows = await self.stack.records.active(ActiveFilter())
        for row in rows:
            # Whoever was told that a wish could not be written down wishes once more.
            with suppress(InvalidStateError):
                if "stalled" in row.request.url:
                    await self.manager.cancel(row.id)
                elif "held" in row.request.url:
                    await self.manager.pause(row.id)
            with suppress(InvalidStateError):
                await self.manager.resume(row.id)
        for row in rows:
            await self.ends(row.id)
        row = await self.ends(await self.start("/other", filename="after"))
        assert row.state is State.COMPLETED, row


async def one_file(context: ScenarioContext) -> None:
    await context.ends(await context.start("/small"))


async def names_that_are_taken(context: ScenarioContext) -> None:
    await context.ends(await context.start("/small", filename="same"))
    await context.ends(await context.start("/other", filename="same"))
    await context.ends(await context.start("/other", filename="same", conflict=Conflict.OVERWRITE))
    await context.ends(await context.start("/small", filename="same", conflict=Conflict.SKIP))


async def broken_and_tried_again(context: ScenarioContext) -> None:
    """The content is moved inside the kernel, and the connection breaks half-way."""
    await context.ends(await context.start("/broken"))


async def segments(context: ScenarioContext) -> None:
    await context.ends(await context.start("/segments", segments=3))


async def paused_and_resumed(context: ScenarioContext) -> None:
    id = await context.start("/held")
    await context.receives(id, 1_000)
    await context.manager.pause(id)
    context.record(f"paused {id}")
    context.record(f"resumed {id}")
    await context.manager.resume(id)
    await context.ends(id)


async def cancelled(context: ScenarioContext) -> None:
    running, paused = await context.start("/stalled"), await context.start("/stalled")
    for id in (running, paused):
        await context.receives(id, 1_000)
    await context.manager.pause(paused)
    context.record(f"paused {paused}")
    for id in (running, paused):
        context.record(f"resumed {id}")
        await context.manager.cancel(id)
        await context.ends(id)


async def failed_and_retried(context: ScenarioContext) -> None:
    id = await context.start("/missing-at-first")
    # Whoever retries takes back that it has ended.
    assert (await context.manager.wait(id, SECONDS)).state in {State.FAILED, State.COMPLETED}
    if (await context.manager.get(id)).download.state is State.FAILED:
        await context.manager.retry(id)
    await context.ends(id)


async def recovery(context: ScenarioContext) -> None:
    """Whoever comes after a kill: tells what there is, and lets everything come to its end."""
    rows = await context.stack.records.active(ActiveFilter())
    for row in rows:
        if row.state is State.PAUSED:
            context.record(f"still-paused {row.id}")
            await context.manager.resume(row.id)
    for row in rows:
        await context.manager.wait(row.id, SECONDS)
    async with asyncio.timeout(SECONDS):
        # The sweep goes on beside the downloads.
        while list(context.stack.root.rglob(".*.part")):
            await asyncio.sleep(0.002)
    for row in await context.stack.records.history(HistoryFilter(limit=1000)):
        context.record(f"row {row.id} {row.state} {row.request.redacted_url} {row.file_path}")


SCENARIOS: Final[dict[str, Callable[[ScenarioContext], Awaitable[None]]]] = {
    scenario.__name__: scenario
    for scenario in (
        one_file,
        names_that_are_taken,
        broken_and_tried_again,
        segments,
        paused_and_resumed,
        cancelled,
        failed_and_retried,
        recovery,
    )
}


async def act(run: CrashRun, fault_points: FaultPoints) -> None:
    def on_point(number: int, name: str) -> None:
        if run.fault is None and number == run.fault_at:
            kill_self()
        if run.fault is not None and run.fault_at <= number < run.fault_at + run.fault_count:
            fault_points.refuse(name, getattr(errno, run.fault))

    if run.from_start:
        fault_points.begin(on_point)
    async with open_stack(Path(run.folder), CONFIG, fsync=True) as stack:
        if not run.from_start:
            fault_points.begin(on_point)
        context = ScenarioContext(stack, run, fault_points)
        try:
            await SCENARIOS[run.scenario](context)
        except DownloadError as error:
            # A user is told, if it strikes something that a user waits for.
            context.record(f"refused {error.code}: {error.detail}")
        if run.fault is not None:
            fault_points.begin(lambda number, name: None)
            await context.run_to_end()
        fault_points.record("over")
        kill_self()


def run_child(run: CrashRun) -> None:
    # Its log is nobody's; what it has to say it tells its journal.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    fault_points = FaultPoints(Path(run.folder) / "journal")
    fault_points.install()
    for name, value in SHORT_DELAYS.items():
        patch(name, value).start()
    try:
        asyncio.run(act(run, fault_points))
    except BaseException:
        fault_points.record(traceback.format_exc())
    os._exit(1)


def serve_forks() -> None:
    for line in sys.stdin.buffer:
        run = msgspec.json.decode(line, type=CrashRun)
        child = os.fork()
        if not child:
            run_child(run)
        _, status = os.waitpid(child, 0)
        with suppress(BrokenPipeError):
            print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    serve_forks()
