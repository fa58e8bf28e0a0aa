"""Publication by a run that stood still just before the call that gives its file the final name.

Another node has taken its download over when it goes on.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import product
from pathlib import Path
from typing import Any, Final

import pytest
from support.origin.content import expected_bytes
from support.origin.scripted_response import ScriptedResponse
from support.run_parts import SIZE, RunParts, open_run_parts, perform
from support.stored_downloads import present
from support.waiting import CONDITION_TIMEOUT, wait_until

from downloadd.clock import Clock
from downloadd.download import Conflict, Download
from downloadd.manager import lifecycle
from downloadd.manager.recovery import interrupt_abandoned
from downloadd.manager.run import StopReason
from downloadd.records.protocol import HistoryFilter
from downloadd.states import State
from downloadd.storage import publisher
from downloadd.storage.local import LocalDestination
from downloadd.storage.names import parse_filename

FIRST: Final = expected_bytes(0, 0, SIZE)
OTHER: Final = expected_bytes(1, 0, SIZE)
FILE: Final = parse_filename("f")


class StoppedCall:
    """A call of the publisher of the first run, which stands still before it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
        self.reached, self._released = threading.Event(), threading.Event()
        call = getattr(publisher._Move, name)

        def stop_and_call(move: Any) -> None:
            if ".1.part" in move.part:
                self.reached.set()
                assert self._released.wait(CONDITION_TIMEOUT)
            call(move)

        monkeypatch.setattr(publisher._Move, name, stop_and_call)

    def release(self) -> None:
        self._released.set()


class SecondDestination(LocalDestination):
    """Destination of the second node, which lets the first run go on at one moment.

    Attributes:
        moments: what to await, by moment: "claim" is after the part file was claimed, "look" after the second run has
            looked for the final file.
    """

    moments: dict[str, Callable[[], Awaitable[None]]]

    async def claim_part(self, **arguments: Any) -> str | None:
        name = await super().claim_part(**arguments)
        await self._pass("claim")
        return name

    async def is_published(self, **arguments: Any) -> bool:
        found = await super().is_published(**arguments)
        await self._pass("look")
        return found

    async def _pass(self, moment: str) -> None:
        if go_on := self.moments.pop(moment, None):
            await go_on()


class Takeover:
    """Two runs of one download, of which the first stands still."""

    def __init__(self, parts: RunParts, second: SecondDestination) -> None:
        self.parts = parts
        self.second = second
        self.row: Download
        self.performing: asyncio.Task[Download | None]

    async def start(self, stopped: StoppedCall, conflict: Conflict) -> None:
        """Start the first run; return when it stands still."""
        self.row = await self.parts.claim("/f", conflict=conflict)
        self.performing = asyncio.create_task(self.parts.make_run(self.row).perform())
        await wait_until(stopped.reached.is_set)

    async def take_over(self) -> Download | None:
        """Put the download back as another node does; return its row if it has not ended."""
        row, records = await present(self.parts.records, self.row.id), self.parts.records
        assert row.progress.publishing
        clock: Clock = self.parts.clock
        changed = await interrupt_abandoned(row, records=records, destination=self.second, clock=clock)
        assert changed is not None
        return None if changed[1].state is State.COMPLETED else changed[1]

    async def interrupt_after_claim(self) -> None:
        """Run the download on the second node, and interrupt the run before it looks for the final file."""
        [claimed] = await self.parts.records.claim([self.row.seq])
        run = self.parts.make_run(claimed, destination=self.second, is_takeover=True)

        async def stop() -> None:
            run.stop(StopReason.INTERRUPT)

        self.second.moments["claim"] = stop
        interrupted = await run.perform()
        assert interrupted is not None
        assert interrupted.state is State.QUEUED

    async def run_again(self) -> None:
        """Run the download on the second node."""
        [claimed] = await self.parts.records.claim([self.row.seq])
        await perform(self.parts.make_run(claimed, destination=self.second, is_takeover=True))

    async def assert_published_once(self, *contents: bytes) -> None:
        assert await self.performing is None
        [row] = await self.parts.records.history(HistoryFilter())
        assert (row.state, row.filename) == (State.COMPLETED, "f")
        files = self.parts.files()
        assert list(files) == ["f"]
        assert files["f"] in contents


@pytest.fixture
async def takeover(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Takeover]:
    async with (
        open_run_parts(tmp_path, is_shared=True) as parts,
        SecondDestination(parts.root, min_free=0, fsync=False, is_shared=True) as second,
    ):
        monkeypatch.setattr(parts.records, "is_shared", True)
        second.moments = {}
        yield Takeover(parts, second)


MOMENTS = ("before the claim", "claim", "look", "after the end")
TAGS = {'"v"': "same part file", '"w"': "new part file"}
CALLS = {"link": Conflict.RENAME, "rename": Conflict.OVERWRITE}
SHORT = {
    ("link", "before the claim", '"w"'),
    ("link", "claim", '"v"'),
    ("link", "look", '"v"'),
    ("link", "look", '"w"'),
    ("link", "after the end", '"v"'),
    ("rename", "look", '"v"'),
}
"""Cases of every run; the others are left to the exhaustive one."""


@pytest.mark.parametrize(
    ("call", "moment", "etag"),
    [
        pytest.param(
            *case, marks=() if case in SHORT else pytest.mark.exhaustive, id=f"{case[0]}-{case[1]}-{TAGS[case[2]]}"
        )
        for case in product(CALLS, MOMENTS, TAGS)
    ],
)
async def test_a_run_that_stood_still_before_its_link_publishes_no_second_file(
    takeover: Takeover, monkeypatch: pytest.MonkeyPatch, call: str, moment: str, etag: str
) -> None:
    stopped = StoppedCall(monkeypatch, call)
    await takeover.start(stopped, CALLS[call])
    takeover.parts.origin.script("/f", ScriptedResponse(body=FIRST if etag == '"v"' else OTHER, etag=etag))

    async def go_on() -> None:
        stopped.release()
        await asyncio.wait([takeover.performing], timeout=CONDITION_TIMEOUT)

    assert await takeover.take_over() is not None
    if moment == "before the claim":
        await go_on()
    elif moment != "after the end":
        takeover.second.moments[moment] = go_on
    await takeover.run_again()
    if moment == "after the end":
        await go_on()
    # The bytes of the first run are there and verified, also if the origin has others meanwhile.
    await takeover.assert_published_once(FIRST, OTHER if moment != "before the claim" else FIRST)


async def test_a_run_that_is_interrupted_before_it_knows_leaves_the_question_to_the_next_one(
    takeover: Takeover, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped = StoppedCall(monkeypatch, "link")
    await takeover.start(stopped, Conflict.RENAME)
    assert await takeover.take_over() is not None
    stopped.release()
    await asyncio.wait([takeover.performing], timeout=CONDITION_TIMEOUT)
    await takeover.interrupt_after_claim()
    await takeover.run_again()
    await takeover.assert_published_once(FIRST)
    assert len(takeover.parts.origin.requests("/f")) == 1


async def test_a_run_that_stood_still_after_its_link_has_published_the_file(
    takeover: Takeover, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped = StoppedCall(monkeypatch, "remove_part_name")
    await takeover.start(stopped, Conflict.RENAME)
    assert await takeover.take_over() is None
    stopped.release()
    await takeover.assert_published_once(FIRST)


async def test_a_file_that_is_linked_before_the_claim_is_not_received_again(
    takeover: Takeover, monkeypatch: pytest.MonkeyPatch
) -> None:
    linking, removing = StoppedCall(monkeypatch, "link"), StoppedCall(monkeypatch, "remove_part_name")
    await takeover.start(linking, Conflict.RENAME)
    assert await takeover.take_over() is not None
    linking.release()
    await wait_until(removing.reached.is_set)
    # Both names are there.
    await takeover.run_again()
    removing.release()
    await takeover.assert_published_once(FIRST)
    assert len(takeover.parts.origin.requests("/f")) == 1


async def test_a_pause_between_the_two_runs_changes_nothing(
    takeover: Takeover, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped = StoppedCall(monkeypatch, "link")
    await takeover.start(stopped, Conflict.RENAME)
    assert await takeover.take_over() is not None
    await takeover.parts.records.amend(takeover.row.id, lifecycle.pause)
    stopped.release()
    await asyncio.wait([takeover.performing], timeout=CONDITION_TIMEOUT)
    await takeover.parts.records.amend(takeover.row.id, lifecycle.resume)
    await takeover.run_again()
    await takeover.assert_published_once(FIRST)
    assert len(takeover.parts.origin.requests("/f")) == 1


async def test_a_part_file_that_a_killed_run_has_claimed_is_not_taken_for_a_published_one(takeover: Takeover) -> None:
    parts = takeover.parts
    row = await parts.claim("/f")
    part = await parts.destination.open_part(directory="d", filename=FILE, download_id=row.id, epoch=1, existing=None)
    await part.write([FIRST], 0)
    await part.close()
    saved = await parts.records.save(
        lifecycle.mark_verifying(row, total=SIZE, warning=None).with_progress(part_name=part.name, publishing=True)
    )
    assert saved is not None
    takeover.row = row
    assert await takeover.take_over() is not None
    # A run that was killed after its claim; then a file of another download gets the name.
    [claimed] = await parts.records.claim([row.seq])
    await takeover.second.claim_part(
        directory="d", filename=FILE, download_id=row.id, epoch=claimed.epoch, existing=part.name
    )
    (parts.root / "d" / "f").write_bytes(OTHER)
    assert await takeover.take_over() is not None
    [again] = await parts.records.claim([row.seq])
    ended = await perform(parts.make_run(again, destination=takeover.second, is_takeover=True))
    assert (ended.filename, ended.state) == ("f (1)", State.COMPLETED)
    assert parts.files() == {"f": OTHER, "f (1)": FIRST}
