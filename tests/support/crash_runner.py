"""Processes that end by SIGKILL at a chosen write, hundreds of them in a few seconds.

A run is a process with all parts from the manager down, and with real records, disk and sockets. It is forked from a
server that has imported everything already, because imports take most of the time of a start.
"""

import asyncio
import errno
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self
from unittest.mock import patch

import msgspec
from support.fault_points import FaultPoints, kill_self
from support.file_tree import files_below, size_of
from support.manager_stack import CONFIG, ManagerStack, open_stack
from support.tls_contexts import system_tls

from downloadd.download import Conflict, Download, join_path
from downloadd.download_request import ConditionalRequest, DownloadRequest
from downloadd.errors import DownloadError, InvalidStateError
from downloadd.manager.protocol import DownloadChange
from downloadd.manager.result_list import ResultList
from downloadd.queue_move import TO_BOTTOM, TO_TOP, UP
from downloadd.records.protocol import ActiveFilter, HistoryFilter
from downloadd.states import FINISHED, State

SECONDS: Final = 20.0
"""Seconds that any step of a run may take."""
SHORT_DELAYS: Final = {
    "downloadd.manager.retry.INITIAL_DELAY_SECONDS": 0.01,
    "downloadd.manager.retry.INITIAL_STORAGE_DELAY_SECONDS": 0.01,
    "downloadd.manager.durable_write.STORE_RETRY_SECONDS": 0.01,
    "downloadd.manager.storage_gate.STORAGE_CHECK_SECONDS": 0.01,
    "downloadd.transfer.segmented.CHECKPOINT_SECONDS": 0.01,
    "downloadd.manager.run_factory.MIN_FLUSH_SECONDS": 0.01,
    "downloadd.transfer.segments.MIN_SEGMENT_BYTES": 150_000,
    "downloadd.records.waiting_list.CHUNK_ROWS": 2,
}
"""Constants for short waits, frequent checkpoints, small segments and small chunks."""


class CrashRun(msgspec.Struct, frozen=True, kw_only=True):
    """Request to a fork server."""

    folder: str
    scenario: str
    """Name of a scenario function below."""
    origin: str = ""
    """Beginning of the URLs of the origin."""
    fault_at: int = 0
    """Number of the fault point at which the fault occurs; 0: the process ends after its scenario."""
    fault: str | None = None
    """Name in `errno` of the error that calls fail with from that point on; None: the process is killed."""
    fault_count: int = 1
    """Number of calls that fail; the next ones succeed."""
    has_commit_process: bool = False
    """True: small files are written by a process of their own, which has no fault points."""
    from_start: bool = False
    """True: fault points count from the start of the parts; False: from the moment they are ready."""


class QueueView(msgspec.Struct, frozen=True, kw_only=True):
    """What users see of the queue, by the names of the files."""

    order: Sequence[str]
    paused: Sequence[str]
    gids: Mapping[str, str]
    results: Sequence[str]


class CrashResult(msgspec.Struct, frozen=True, kw_only=True):
    """End of a run, and the lines of its journal."""

    lines: Sequence[str]
    is_killed_early: bool
    """True: the process ended before its scenario."""

    @property
    def points(self) -> list[str]:
        """Names of the fault points it reached, including the one it ended at."""
        return self.values("point")

    def values(self, what: str) -> list[str]:
        """Return the rest of each line that begins with this word."""
        return [line.partition(" ")[2] for line in self.lines if line.startswith(f"{what} ")]


class ForkServer:
    """Process that runs are forked from, one after the other. Use it in a `with` block."""

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
        """Run a scenario to its end and return the result."""
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
    """Actions of a scenario. Each line it records was answered to a user and must hold from then on."""

    def __init__(self, stack: ManagerStack, run: CrashRun, fault_points: FaultPoints) -> None:
        self.stack = stack
        self.manager = stack.manager
        self.record = fault_points.record
        self.origin = run.origin
        self._run = run

    async def start(self, path: str, **options: Any) -> str:
        request = DownloadRequest(url=self._run.origin + path, directory="d", **options)
        started = await self.manager.start([request], user="u")
        id = started.downloads[0].id
        self.record(f"accepted {id}")
        return id

    async def record_queue(self) -> None:
        """Record the waiting list with the states and gids, and the list of results."""
        listed = [one.download for one in await self.stack.queue.page(0, 99)]
        results = await self.stack.records.results.page(0, 99)
        view = QueueView(
            order=[row.filename for row in listed],
            paused=[row.filename for row in listed if row.state is State.PAUSED],
            gids={row.filename: row.gid for row in listed},
            results=[row.filename for row in results],
        )
        self.record(f"queue {msgspec.json.encode(view).decode()}")

    async def ends(self, id: str) -> Download:
        row = await self.manager.wait(id, SECONDS)
        assert row.state in FINISHED, row
        self.record(f"ended {id} {row.state}")
        return row

    async def rename(self, id: str, directory: str, filename: str) -> None:
        await self.manager.amend(id, DownloadChange(directory=directory, filename=filename))
        self.record(f"renamed {id} {join_path(directory, filename)}")

    async def receives(self, id: str, nbytes: int) -> None:
        async with asyncio.timeout(SECONDS):
            while (await self.manager.get(id)).download.progress.received < nbytes:
                if (await self.manager.get(id)).download.state in FINISHED:
                    break
                await asyncio.sleep(0.002)

    async def decides(self, id: str) -> Download:
        """Wait until the rules of a download are decided; return its row."""
        async with asyncio.timeout(SECONDS):
            while True:
                row = await self.stack.records.get(id)
                assert row is not None
                if not row.request.pending_rules:
                    return row
                await asyncio.sleep(0.002)

    async def stores(self, id: str, nbytes: int) -> None:
        """Wait until the row names a part file with these bytes."""
        async with asyncio.timeout(SECONDS):
            while True:
                row = await self.stack.records.get(id)
                assert row is not None
                path = self.stack.root / row.part_directory / (row.progress.part_name or "-")
                if row.state in FINISHED or size_of(path) >= nbytes:
                    break
                await asyncio.sleep(0.002)

    async def run_to_end(self) -> None:
        """Finish everything that was accepted, and a new download, after the fault."""
        rows = await self.stack.records.active(ActiveFilter())
        for row in rows:
            # A user whose request failed repeats it.
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


async def small_files_at_once(context: ScenarioContext) -> None:
    names = (("/small", "same"), ("/other", "same"), ("/small", "one"), ("/other", "two"))
    ids = [await context.start(path, filename=name) for path, name in names]
    for id in ids:
        await context.ends(id)


async def names_that_are_taken(context: ScenarioContext) -> None:
    await context.ends(await context.start("/small", filename="same"))
    await context.ends(await context.start("/other", filename="same"))
    await context.ends(await context.start("/other", filename="same", conflict=Conflict.OVERWRITE))
    await context.ends(await context.start("/small", filename="same", conflict=Conflict.SKIP))


async def copied_file(context: ScenarioContext) -> None:
    """Copy the file of an earlier download instead of receiving it."""
    await context.ends(await context.start("/small", filename="first"))
    row = await context.ends(await context.start("/small", filename="copy"))
    if row.state is State.COMPLETED:
        context.record(f"reused {row.progress.resumed_by}")


async def interrupted_and_retried(context: ScenarioContext) -> None:
    """Splice the content inside the kernel, over a connection that breaks half-way."""
    await context.ends(await context.start("/broken"))


async def segments(context: ScenarioContext) -> None:
    await context.ends(await context.start("/segments", segments=3))


async def directory_by_response(context: ScenarioContext) -> None:
    url = f"{context.origin}/typed"
    films = DownloadRequest(url=url, directory="films")
    rule = ConditionalRequest(rule="films", types=("video/*",), min_size=0, max_size=0, request=films)
    id = await context.start("/typed", alternatives=(rule,))
    row = await context.decides(id)
    context.record(f"decided {id} {row.file_path}")
    await context.ends(id)


async def paused_and_resumed(context: ScenarioContext) -> None:
    id = await context.start("/held")
    await context.receives(id, 1_000)
    await context.manager.pause(id)
    context.record(f"paused {id}")
    context.record(f"resumed {id}")
    await context.manager.resume(id)
    await context.ends(id)


async def renamed_while_running(context: ScenarioContext) -> None:
    # A write that is refused is noticed with the next bytes, or when none arrive.
    id = await context.start("/held", stall_timeout=3.0)
    await context.stores(id, 1_000)
    await context.rename(id, "e/below", "renamed")
    await context.manager.pause(id)
    context.record(f"paused {id}")
    context.record(f"resumed {id}")
    await context.manager.resume(id)
    await context.ends(id)


async def renamed_while_paused(context: ScenarioContext) -> None:
    # A write that is refused is noticed with the next bytes, or when none arrive.
    id = await context.start("/held", stall_timeout=3.0)
    await context.stores(id, 1_000)
    await context.manager.pause(id)
    context.record(f"paused {id}")
    await context.rename(id, "e", "first")
    await context.rename(id, "", "renamed")
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
    # A retry makes the finished download active again.
    assert (await context.manager.wait(id, SECONDS)).state in {State.FAILED, State.COMPLETED}
    if (await context.manager.get(id)).download.state is State.FAILED:
        await context.manager.retry(id)
    await context.ends(id)


async def failed_with_a_part_and_retried(context: ScenarioContext) -> None:
    id = await context.start("/forbidden-at-first")
    assert (await context.manager.wait(id, SECONDS)).state in {State.FAILED, State.COMPLETED}
    if (await context.manager.get(id)).download.state is State.FAILED:
        await context.manager.retry(id)
    await context.ends(id)


async def failed_and_part_removed(context: ScenarioContext) -> None:
    await context.ends(await context.start("/forbidden"))
    await context.stack.kept_parts.reclaim("", 1)


async def queue_changed(context: ScenarioContext) -> None:
    """Move, pause, resume and clear downloads, none of which runs; record what a user sees after each step."""
    stack = context.stack
    stack.dispatcher.queue.set_suspension("held by the test")
    queue, results = stack.queue, ResultList(stack.records, stack.records.results)
    ids = [await context.start("/small", filename=f"{number}") for number in range(4)]
    ids.append(await context.start("/small", filename="4", gid="abc0123456789def", position=1))
    await context.record_queue()
    for id, move in ((ids[3], TO_TOP), (ids[0], TO_BOTTOM), (ids[2], UP)):
        await queue.move(id, move)
        await context.record_queue()
    await context.manager.pause(ids[1])
    await context.record_queue()
    for id in (ids[0], ids[2]):
        await context.manager.cancel(id)
    await context.record_queue()
    await results.clear(ids[0])
    await context.record_queue()
    await queue.pause_all(lambda directory: True)
    await context.record_queue()
    await queue.resume_all(lambda directory: True)
    await context.record_queue()
    await results.clear_all()
    await context.record_queue()


async def queue_found(context: ScenarioContext) -> None:
    """Record what a killed process has left of the queue; then pause all of it."""
    context.stack.dispatcher.queue.set_suspension("held by the test")
    await context.record_queue()
    await context.stack.queue.pause_all(lambda directory: True)
    await context.record_queue()


def part_names(root: Path) -> set[str]:
    return {path.name for path in files_below(root) if path.name.startswith(".") and path.name.endswith(".part")}


async def recovery(context: ScenarioContext) -> None:
    """Record the rows that a killed process has left, and finish all downloads."""
    rows = await context.stack.records.active(ActiveFilter())
    for row in rows:
        if row.state is State.PAUSED:
            context.record(f"still-paused {row.id}")
            await context.manager.resume(row.id)
    for row in rows:
        await context.manager.wait(row.id, SECONDS)
    kept = await context.stack.records.kept_parts.page()
    async with asyncio.timeout(SECONDS):
        # The removal of part files runs beside the downloads.
        while part_names(context.stack.root) != {part.part_name for part in kept}:
            await asyncio.sleep(0.002)
    for part in kept:
        context.record(f"kept {part.id} {part.received} {part.directory}/{part.part_name}")
    for row in await context.stack.records.history(HistoryFilter(limit=1000)):
        context.record(f"row {row.id} {row.state} {row.request.redacted_url} {row.file_path}")


SCENARIOS: Final[dict[str, Callable[[ScenarioContext], Awaitable[None]]]] = {
    scenario.__name__: scenario
    for scenario in (
        one_file,
        small_files_at_once,
        names_that_are_taken,
        copied_file,
        interrupted_and_retried,
        segments,
        directory_by_response,
        paused_and_resumed,
        renamed_while_running,
        renamed_while_paused,
        cancelled,
        failed_and_retried,
        failed_with_a_part_and_retried,
        failed_and_part_removed,
        queue_changed,
        queue_found,
        recovery,
    )
}

DOWNLOAD_SCENARIOS: Final = tuple(
    name for name in SCENARIOS if name not in {queue_changed.__name__, queue_found.__name__, recovery.__name__}
)
"""Names of the scenarios in which downloads run."""


async def act(run: CrashRun, fault_points: FaultPoints) -> None:
    def on_point(number: int, name: str) -> None:
        if run.fault is None and number == run.fault_at:
            kill_self()
        if run.fault is not None and run.fault_at <= number < run.fault_at + run.fault_count:
            fault_points.refuse(name, getattr(errno, run.fault))

    if run.from_start:
        fault_points.begin(on_point)
    async with open_stack(
        Path(run.folder),
        CONFIG,
        fsync=True,
        has_commit_process=run.has_commit_process,
        reuse=run.scenario == copied_file.__name__,
    ) as stack:
        if not run.from_start:
            fault_points.begin(on_point)
        context = ScenarioContext(stack, run, fault_points)
        try:
            await SCENARIOS[run.scenario](context)
        except DownloadError as error:
            # The user gets the error if the fault hits a call that the user waits for.
            context.record(f"refused {error.code}: {error.detail}")
        if run.fault is not None:
            fault_points.begin(lambda number, name: None)
            await context.run_to_end()
        fault_points.record("over")
        kill_self()


def run_child(run: CrashRun) -> None:
    # Its log is not read; the journal has the results.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    fault_points = FaultPoints(Path(run.folder) / "journal")
    fault_points.install()
    for name, value in SHORT_DELAYS.items():
        patch(name, value).start()
    try:
        asyncio.run(act(run, fault_points))
    except BaseException:  # noqa: BLE001 - the journal is the only output of this process
        fault_points.record(traceback.format_exc())
    os._exit(1)


def serve_forks() -> None:
    # Each run has a client of origins, and reading the certificates would take a third of its time.
    system_tls()
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
