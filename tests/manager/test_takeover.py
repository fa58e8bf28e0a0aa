"""Takeover of a download whose run stands still and goes on later, by two runs with a destination each on one root."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest
from support.clocks import NOW
from support.origin.content import expected_bytes
from support.origin.scripted_response import ScriptedResponse
from support.run_parts import SIZE, RunParts, open_run_parts, perform
from support.waiting import CONDITION_TIMEOUT, wait_until

from downloadd.download import Download, ResumedBy
from downloadd.errors import StorageError
from downloadd.manager import lifecycle
from downloadd.manager.run import Run, StopReason
from downloadd.records.protocol import HistoryFilter
from downloadd.states import State
from downloadd.storage.local import LocalDestination
from downloadd.storage.names import parse_filename
from downloadd.storage.part_file import PartFile

BEFORE_THE_END = 150_000


class StoppedLimiter:
    """Limit that grants some bytes, and the others when it is released; until then they wait in the socket."""

    def __init__(self, nbytes: int) -> None:
        self.left = nbytes
        self.released = asyncio.Event()

    async def acquire(self, max_bytes: int) -> int:
        if not self.left:
            await self.released.wait()
            return max_bytes
        granted = min(max_bytes, self.left)
        self.left -= granted
        return granted

    def release(self, nbytes: int) -> None:
        self.left += nbytes


class Nodes:
    """Two nodes with common records and a common storage root, and the run of the first one, which stands still."""

    def __init__(self, parts: RunParts, destination: LocalDestination) -> None:
        self.parts = parts
        self.destination = destination
        self.stopped = StoppedLimiter(BEFORE_THE_END)
        self.run: Run
        self.performing: asyncio.Task[Download | None]

    async def start(self, response: ScriptedResponse) -> None:
        """Start the first run; it stands still with the last bytes in its socket, and has recorded all before."""
        self.parts.origin.script("/f", response)
        self.run = self.parts.make_run(await self.parts.claim("/f"), limiter=self.stopped)
        self.performing = asyncio.create_task(self.run.perform())
        await wait_until(lambda: self.run.download.state is State.DOWNLOADING and self.part.size == BEFORE_THE_END)
        await self.part.sync()
        row = self.run.download.with_progress(received=BEFORE_THE_END, part_name=self.part.name)
        assert await self.parts.records.save(row) is not None

    @property
    def part(self) -> PartFile:
        part = self.run._attempt.part
        assert isinstance(part, PartFile)
        return part

    async def take_over(self, limiter: StoppedLimiter | None = None) -> Run:
        """Return a run of the second node for the same download."""
        await self.parts.records.amend(self.run.download.id, partial(lifecycle.mark_interrupted, now=NOW))
        [row] = await self.parts.records.claim([self.run.download.seq])
        return self.parts.make_run(row, destination=self.destination, limiter=limiter, is_takeover=True)

    async def go_on(self) -> Download | None:
        """Let the first run go on; return its outcome."""
        self.stopped.released.set()
        async with asyncio.timeout(CONDITION_TIMEOUT):
            return await self.performing


@pytest.fixture
async def nodes(tmp_path: Path) -> AsyncIterator[Nodes]:
    async with (
        open_run_parts(tmp_path, is_shared=True) as parts,
        LocalDestination(parts.root, min_free=0, fsync=False, is_shared=True) as destination,
    ):
        nodes = Nodes(parts, destination)
        yield nodes
        nodes.performing.cancel()
        await asyncio.wait((nodes.performing,))
        await nodes.part.close()


FIRST = expected_bytes(0, 0, SIZE)
OTHER = expected_bytes(1, 0, SIZE)
OTHER_END = FIRST[: SIZE - 10_000] + OTHER[-10_000:]


@pytest.mark.parametrize("is_late", [True, False], ids=["after the end", "before the end"])
@pytest.mark.parametrize(
    ("tags", "content", "resumed_by"),
    [
        pytest.param(('"v"', '"v"'), FIRST, ResumedBy.VALIDATOR, id="same validator"),
        pytest.param(('"v"', '"w"'), OTHER, None, id="another validator"),
        pytest.param((None, None), FIRST, ResumedBy.OVERLAP, id="no validator, same bytes"),
        pytest.param((None, None), OTHER, None, id="no validator, other bytes"),
        # Nothing shows that the version has changed: its last bytes are in the socket of the first run still.
        pytest.param((None, None), OTHER_END, ResumedBy.OVERLAP, id="no validator, other bytes at the end"),
    ],
)
async def test_the_published_file_is_that_of_the_second_run_whenever_the_first_one_goes_on(
    nodes: Nodes,
    tags: tuple[str | None, str | None],
    content: bytes,
    resumed_by: ResumedBy | None,
    is_late: bool,
) -> None:
    await nodes.start(ScriptedResponse(size=SIZE, etag=tags[0]))
    nodes.parts.origin.script("/f", ScriptedResponse(body=content, etag=tags[1]))
    second = StoppedLimiter(20_000)
    performing = asyncio.create_task(perform(await nodes.take_over(second)))
    await wait_until(lambda: not second.left)
    if not is_late:
        assert await nodes.go_on() is None
    second.released.set()
    row = await performing
    assert nodes.parts.files()["f"] == content
    if is_late:
        assert await nodes.go_on() is None
    assert nodes.parts.files() == {"f": content}
    assert await nodes.parts.records.history(HistoryFilter()) == [row]
    assert row.progress.resumed_by is resumed_by


async def test_the_first_run_changes_nothing_after_the_takeover(nodes: Nodes) -> None:
    await nodes.start(ScriptedResponse(size=SIZE, etag='"v"'))
    late = nodes.part
    row = await perform(await nodes.take_over())
    published = {"f": expected_bytes(0, 0, SIZE)}
    # It writes through its open descriptor, starts over, publishes and removes, whatever the records say.
    await late.write([b"x" * SIZE], 0)
    for replace in (False, True):
        with pytest.raises(StorageError, match="the part file is missing"):
            await late.publish(parse_filename("f"), replace=replace, last_modified=1)
    again = await nodes.parts.destination.open_part(
        directory="d", filename=parse_filename("f"), download_id=row.id, epoch=1, existing=late.name
    )
    assert again.size == 0
    await again.remove()
    await nodes.run._attempt.remove_parts()
    assert nodes.parts.files() == published


async def test_a_run_that_lost_the_download_keeps_the_part_file_for_the_next_one(nodes: Nodes) -> None:
    await nodes.start(ScriptedResponse(size=SIZE, etag='"v"'))
    second = await nodes.take_over()
    # The second run has not opened the part file yet; the first one fails for good.
    nodes.parts.origin.script("/f", ScriptedResponse(size=SIZE, etag='"v"'))
    nodes.run._attempt.download = nodes.run.download.with_request(requested_checksum=f"sha-256={'0' * 64}")
    assert await nodes.go_on() is None
    assert nodes.part.name in nodes.parts.files()
    assert (await perform(second)).state is State.COMPLETED
    assert nodes.parts.files() == {"f": expected_bytes(0, 0, SIZE)}


async def test_a_run_that_is_cancelled_and_fenced_removes_its_part_file(nodes: Nodes) -> None:
    await nodes.start(ScriptedResponse(size=SIZE, etag='"v"'))
    await nodes.take_over()
    nodes.run.stop(StopReason.CANCEL)
    assert await nodes.go_on() is None
    assert nodes.parts.files() == {}


@pytest.mark.parametrize("is_late", [True, False], ids=["after the end", "before the end"])
async def test_a_part_file_that_a_run_makes_after_the_takeover_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_late: bool
) -> None:
    async with open_run_parts(tmp_path, is_shared=True) as parts:
        recorded, released = asyncio.Event(), asyncio.Event()
        save = parts.records.save

        async def save_and_stop(download: Download) -> Download | None:
            saved = await save(download)
            if download.epoch == 1 and not recorded.is_set():
                # The row names the part file, which is made with the first write.
                recorded.set()
                await released.wait()
            return saved

        monkeypatch.setattr(parts.records, "save", save_and_stop)
        claimed = await parts.claim("/f")
        async with asyncio.timeout(CONDITION_TIMEOUT):
            performing = asyncio.create_task(parts.make_run(claimed).perform())
            await recorded.wait()
            await parts.records.amend(claimed.id, partial(lifecycle.mark_interrupted, now=NOW))
            [row] = await parts.records.claim([claimed.seq])
            second = StoppedLimiter(20_000)
            ending = asyncio.create_task(perform(parts.make_run(row, limiter=second, is_takeover=True)))
            await wait_until(lambda: not second.left)
            if is_late:
                second.released.set()
                await ending
            released.set()
            assert await performing is None
            second.released.set()
            await ending
        assert parts.files() == {"f": expected_bytes(0, 0, SIZE)}


async def test_only_the_missing_ranges_of_several_connections_are_received_again(tmp_path: Path) -> None:
    size, kept = 4 << 20, [(0, 1_000_000), (2_000_000, 2_500_000)]
    content = expected_bytes(0, 0, size)
    async with open_run_parts(tmp_path, is_shared=True) as parts:
        parts.origin.script("/f", ScriptedResponse(size=size, etag='"v"'))
        row = await parts.claim("/f", segments=2)
        late = await parts.destination.open_part(
            directory="d", filename=parse_filename("f"), download_id=row.id, epoch=row.epoch, existing=None
        )
        for start, end in kept:
            await late.write([content[start:end]], start)
        # Not recorded: the bytes of another version, or none that reached the disk.
        await late.write([b"x" * 500_000], 2_500_000)
        received = sum(end - start for start, end in kept)
        ranges = ",".join(f"{start}-{end}" for start, end in kept)
        recorded = row.with_progress(
            part_name=late.name, received=received, received_ranges=ranges, total=size, validator='"v"'
        )
        assert await parts.records.save(recorded) is not None
        await parts.records.amend(row.id, partial(lifecycle.mark_interrupted, now=NOW))
        [claimed] = await parts.records.claim([row.seq])
        run = parts.make_run(claimed, is_takeover=True)
        assert (await perform(run)).progress.resumed_by is ResumedBy.VALIDATOR
        assert run.received_bytes == size - received
        await late.close()
        assert parts.files() == {"f": content}
