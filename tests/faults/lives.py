"""Lives of a daemon that end at a chosen write, by SIGKILL, hundreds of them in a few seconds.

A life is a process of its own, with all parts from the manager down and real records, disk and sockets. It is forked
from a nursery that has imported everything already, because to import is what takes long about a start.
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
from faults.points import Points, die
from manager.house import CONFIG, House, open_house

from downloadd.download import Conflict, Download
from downloadd.errors import DownloadError, InvalidStateError
from downloadd.manager.intake import Order
from downloadd.records.protocol import ActiveFilter, HistoryFilter
from downloadd.states import ENDED, State

SECONDS: Final = 20.0
"""How long anything in a life may take."""
IMPATIENCE: Final = {
    "downloadd.manager.retry.FIRST_DELAY": 0.01,
    "downloadd.manager.retry.FIRST_DELAY_FOR_ROOM": 0.01,
    "downloadd.manager.run.INSISTENCE": 0.01,
    "downloadd.transfer.segmented.WRITE_DOWN_SECONDS": 0.01,
    "downloadd.manager.manager.SOONEST_FLUSH": 0.01,
    "downloadd.transfer.segments.LEAST": 150_000,
}
"""What makes waits short, notes frequent, and segments small."""


class Life(msgspec.Struct, frozen=True, kw_only=True):
    """What a nursery is asked for."""

    folder: str
    plot: str
    """The name of a function below."""
    origin: str = ""
    """Where the origin's URLs begin."""
    strike_at: int = 0
    """The number of the point at which the fault strikes; 0: it dies when its plot is over."""
    fault: str | None = None
    """What every call is refused with from then on, as in `errno`; None: it dies."""
    lifted_after: int = 1
    """So many calls are refused; then the disk is in order again."""
    from_birth: bool = False
    """Whether points count from the start of the parts on, and not only from their readiness on."""


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """How a life ended, and what its witness says."""

    lines: Sequence[str]
    killed_early: bool
    """It died before its plot was over."""

    @property
    def points(self) -> list[str]:
        """The points that it has come to, the one that it died at included."""
        return self.told("point")

    def told(self, what: str) -> list[str]:
        """What follows this word in the lines that begin with it."""
        return [line.partition(" ")[2] for line in self.lines if line.startswith(f"{what} ")]


class Nursery:
    """The process that lives are forked from; gives one life after the other. To be used within `with`."""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "faults.lives"],
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

    async def live(self, life: Life) -> Ended:
        """Lets a life take its course."""
        return await asyncio.to_thread(self._live, life)

    def _live(self, life: Life) -> Ended:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        witness = Path(life.folder) / "witness"
        witness.unlink(missing_ok=True)
        self._process.stdin.write(msgspec.json.encode(life) + b"\n")
        self._process.stdin.flush()
        status = int(self._process.stdout.readline())
        lines = witness.read_text().splitlines()
        assert status == -signal.SIGKILL, "\n".join([f"{life} ended with {status}", *lines])
        return Ended(lines=lines, killed_early="over" not in lines)


# -- in the life -------------------------------------------------------------------------------------------------------


class Stage:
    """What a plot has to act with. Whatever it tells has been answered to a user, and holds from then on."""

    def __init__(self, house: House, life: Life, points: Points) -> None:
        self.house = house
        self.manager = house.manager
        self.tell = points.tell
        self._life = life

    async def start(self, path: str, **options: Any) -> str:
        order = Order(url=self._life.origin + path, directory="d", **options)
        started = await self.manager.start([order], user="u")
        id = started.downloads[0].id
        self.tell(f"accepted {id}")
        return id

    async def ends(self, id: str) -> Download:
        row = await self.manager.wait(id, SECONDS)
        assert row.state in ENDED, row
        self.tell(f"ended {id} {row.state}")
        return row

    async def receives(self, id: str, nbytes: int) -> None:
        async with asyncio.timeout(SECONDS):
            while (await self.manager.get(id)).download.progress.received < nbytes:
                if (await self.manager.get(id)).download.state in ENDED:
                    break
                await asyncio.sleep(0.002)

    async def go_on(self) -> None:
        """The fault is over: everything that was accepted comes to its end, and so does what is new."""
        rows = await self.house.records.active(ActiveFilter())
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


async def one_file(stage: Stage) -> None:
    await stage.ends(await stage.start("/small"))


async def names_that_are_taken(stage: Stage) -> None:
    await stage.ends(await stage.start("/small", filename="same"))
    await stage.ends(await stage.start("/other", filename="same"))
    await stage.ends(await stage.start("/other", filename="same", conflict=Conflict.OVERWRITE))
    await stage.ends(await stage.start("/small", filename="same", conflict=Conflict.SKIP))


async def broken_and_tried_again(stage: Stage) -> None:
    """The content is moved inside the kernel, and the connection breaks half-way."""
    await stage.ends(await stage.start("/broken"))


async def segments(stage: Stage) -> None:
    await stage.ends(await stage.start("/segments", segments=3))


async def paused_and_resumed(stage: Stage) -> None:
    id = await stage.start("/held")
    await stage.receives(id, 1_000)
    await stage.manager.pause(id)
    stage.tell(f"paused {id}")
    stage.tell(f"resumed {id}")
    await stage.manager.resume(id)
    await stage.ends(id)


async def cancelled(stage: Stage) -> None:
    running, paused = await stage.start("/stalled"), await stage.start("/stalled")
    for id in (running, paused):
        await stage.receives(id, 1_000)
    await stage.manager.pause(paused)
    stage.tell(f"paused {paused}")
    for id in (running, paused):
        stage.tell(f"resumed {id}")
        await stage.manager.cancel(id)
        await stage.ends(id)


async def failed_and_retried(stage: Stage) -> None:
    id = await stage.start("/missing-at-first")
    # Whoever retries takes back that it has ended.
    assert (await stage.manager.wait(id, SECONDS)).state in {State.FAILED, State.COMPLETED}
    if (await stage.manager.get(id)).download.state is State.FAILED:
        await stage.manager.retry(id)
    await stage.ends(id)


async def recovery(stage: Stage) -> None:
    """Whoever comes after a kill: tells what there is, and lets everything come to its end."""
    rows = await stage.house.records.active(ActiveFilter())
    for row in rows:
        if row.state is State.PAUSED:
            stage.tell(f"still-paused {row.id}")
            await stage.manager.resume(row.id)
    for row in rows:
        await stage.manager.wait(row.id, SECONDS)
    async with asyncio.timeout(SECONDS):
        # The sweep goes on beside the downloads.
        while list(stage.house.root.rglob(".*.part")):
            await asyncio.sleep(0.002)
    for row in await stage.house.records.history(HistoryFilter(limit=1000)):
        stage.tell(f"row {row.id} {row.state} {row.request.redacted_url} {row.file_path}")


PLOTS: Final[dict[str, Callable[[Stage], Awaitable[None]]]] = {
    plot.__name__: plot
    for plot in (
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


async def act(life: Life, points: Points) -> None:
    def strike(number: int, name: str) -> None:
        if life.fault is None and number == life.strike_at:
            die()
        if life.fault is not None and life.strike_at <= number < life.strike_at + life.lifted_after:
            points.refuse(name, getattr(errno, life.fault))

    if life.from_birth:
        points.begin(strike)
    async with open_house(Path(life.folder), CONFIG, fsync=True) as house:
        if not life.from_birth:
            points.begin(strike)
        stage = Stage(house, life, points)
        try:
            await PLOTS[life.plot](stage)
        except DownloadError as error:
            # A user is told, if it strikes something that a user waits for.
            stage.tell(f"refused {error.code}: {error.detail}")
        if life.fault is not None:
            points.begin(lambda number, name: None)
            await stage.go_on()
        points.tell("over")
        die()


def be_born(life: Life) -> None:
    # Its log is nobody's; what it has to say it tells its witness.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    points = Points(Path(life.folder) / "witness")
    points.lay()
    for name, value in IMPATIENCE.items():
        patch(name, value).start()
    try:
        asyncio.run(act(life, points))
    except BaseException:
        points.tell(traceback.format_exc())
    os._exit(1)


def give_lives() -> None:
    for line in sys.stdin.buffer:
        life = msgspec.json.decode(line, type=Life)
        child = os.fork()
        if not child:
            be_born(life)
        _, status = os.waitpid(child, 0)
        with suppress(BrokenPipeError):
            print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    give_lives()
