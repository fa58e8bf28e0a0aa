"""Transfer over several connections, over real sockets and disks."""

import asyncio
from collections.abc import Sequence

import pytest
from msgspec.structs import replace
from support.fake_slots import FakeSlots
from support.origin.content import expected_bytes
from support.origin.origin import Origin
from support.origin.scripted_response import ScriptedResponse, error_response, redirect
from support.waiting import wait_until

from downloadd.clock import SystemClock
from downloadd.errors import DownloadError, NetworkError, RemoteError
from downloadd.storage.destination import Part
from downloadd.storage.local import LocalDestination
from downloadd.storage.names import parse_filename
from downloadd.transfer import segmented
from downloadd.transfer.byte_ranges import ByteRanges
from downloadd.transfer.connection_slots import RedirectSlots, RequestPath
from downloadd.transfer.own_delays import OwnDelays
from downloadd.transfer.receiver import Receiver
from downloadd.transfer.representation import Representation
from downloadd.transfer.resume import RangeRequest
from downloadd.transfer.segmented import OpenResponse, RepresentationChangedError, SegmentedFetch
from downloadd.transfer.segments import divide
from downloadd.transfer.session import Session
from downloadd.transfer.source_requests import NoSlotError
from downloadd.transfer.sources import Source

pytestmark = pytest.mark.system

ID = "0f6a1c7e-5f0a-4c39-8a35-9c52ed1a6d7b"
SIZE = 5 << 20
FILE = ScriptedResponse(size=SIZE, etag='"v"')


class NoLimit:
    async def acquire(self, max_bytes: int) -> int:
        return max_bytes

    def release(self, nbytes: int) -> None:
        pass


class Transfer:
    """One transfer of the missing ranges from these paths, and its reports."""

    def __init__(
        self,
        part: Part,
        session: Session,
        urls: Sequence[str],
        kept: ByteRanges,
        *,
        redirects: RedirectSlots | None = None,
    ) -> None:
        slots = redirects or RedirectSlots(1, FakeSlots())
        self.part = part
        self.dropped: dict[str, str] = {}
        self.answered_by: list[str] = []
        self.checkpoints: list[str] = []
        self.sources = [Source(index, url, "127.0.0.1") for index, url in enumerate(urls)]
        for source in self.sources:
            source.slots = 2
        self.kept = kept
        self.fetch = SegmentedFetch(
            self.sources,
            connect=lambda source, request: session.get(
                source.url, request, enter_origin=RequestPath(source.origin, slots).enter
            ),
            on_answer=lambda response: self.answered_by.append(response.url.origin),
            receiver=Receiver(
                part,
                clock=SystemClock(),
                limiter=NoLimit(),
                flush_interval=lambda: 0.05,
                before_write=self._before_write,
                on_received=lambda nbytes: None,
                delays=OwnDelays(SystemClock()),
            ),
            kept=kept,
            known=Representation(validator='"v"', total=SIZE),
            checkpoint=self._checkpoint,
            on_source_dropped=lambda source, reason: self.dropped.__setitem__(source.url, reason),
        )

    async def _before_write(self, size: int, is_last: bool) -> None:
        pass

    async def _checkpoint(self, ranges: ByteRanges) -> None:
        self.checkpoints.append(ranges.format())

    async def run(self) -> None:
        await self.fetch.fetch(divide(self.kept.gaps(SIZE), 2 * len(self.sources)), None)

    async def run_with_first(self, session: Session, connections: int = 4) -> None:
        """Request everything, and then the segments behind the first one."""
        [source] = self.sources
        source.slots = connections
        first, *others = divide([(0, SIZE)], connections)
        async with session.get(source.url, RangeRequest()) as response:
            response.content.expected_length = SIZE
            await self.fetch.fetch(
                [first, *others], OpenResponse(source=source, content=response.content, segment=first)
            )


@pytest.fixture
async def part(destination: LocalDestination) -> Part:
    return await destination.open_part(
        directory="", filename=parse_filename("f"), download_id=ID, epoch=1, existing=None
    )


def kept_ranges(*ranges: tuple[int, int]) -> ByteRanges:
    kept = ByteRanges()
    for start, end in ranges:
        kept.add(start, end)
    return kept


async def test_only_missing_ranges_are_received_and_the_file_is_complete(
    part: Part, session: Session, origin: Origin
) -> None:
    origin.script("/f", FILE)
    await part.write([expected_bytes(0, 0, 1 << 20)], 0)
    transfer = Transfer(part, session, [origin.url("/f")], kept_ranges((0, 1 << 20)))
    await transfer.run()
    assert await part.read(0, SIZE + 1) == expected_bytes(0, 0, SIZE)
    assert transfer.fetch.received() == kept_ranges((0, SIZE))
    requests = origin.requests("/f")
    assert transfer.fetch.request_count == len(requests) >= 2
    assert {request.field("If-Range") for request in requests} == {'"v"'}
    assert all(not (request.field("Range") or "").startswith("bytes=0-") for request in requests)
    await part.close()


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        pytest.param(error_response(404), "404", id="an error"),
        pytest.param(ScriptedResponse(size=SIZE, etag='"w"'), "another version", id="another version"),
        pytest.param(ScriptedResponse(size=SIZE, etag='"v"', honour_ranges=False), "gives no ranges", id="no ranges"),
    ],
)
async def test_a_source_that_is_of_no_use_is_dropped_and_another_completes(
    part: Part, session: Session, origin: Origin, answer: ScriptedResponse, reason: str
) -> None:
    origin.script("/good", FILE)
    origin.script("/bad", answer)
    transfer = Transfer(part, session, [origin.url("/good"), origin.url("/bad")], ByteRanges())
    await transfer.run()
    assert await part.read(0, SIZE + 1) == expected_bytes(0, 0, SIZE)
    assert reason in transfer.dropped[origin.url("/bad")]
    assert list(transfer.dropped) == [origin.url("/bad")]
    await part.close()


async def test_without_a_usable_source_the_error_is_raised_and_received_ranges_are_known(
    part: Part, session: Session, origin: Origin
) -> None:
    origin.script("/f", [ScriptedResponse(size=SIZE, etag='"v"', cut_after=100_000)])
    transfer = Transfer(part, session, [origin.url("/f")], ByteRanges())
    with pytest.raises(NetworkError):
        await transfer.run()
    received = transfer.fetch.received()
    assert received.size > 0
    for start, end in received:
        assert await part.read(start, end - start) == expected_bytes(0, start, end)
    origin.script("/g", error_response(503))
    with pytest.raises(RemoteError):
        await Transfer(part, session, [origin.url("/g")], ByteRanges()).run()
    await part.close()


async def test_a_new_version_at_every_source_is_reported(part: Part, session: Session, origin: Origin) -> None:
    origin.script("/f", ScriptedResponse(size=SIZE, etag='"w"'))
    with pytest.raises(RepresentationChangedError):
        await Transfer(part, session, [origin.url("/f")], ByteRanges()).run()
    assert part.size == 0
    await part.close()


async def test_checkpoints_are_made_during_the_transfer(
    part: Part, session: Session, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segmented, "CHECKPOINT_SECONDS", 0.01)
    origin.script("/f", ScriptedResponse(size=SIZE, etag='"v"', rate=10_000_000))
    transfer = Transfer(part, session, [origin.url("/f")], ByteRanges())
    await transfer.run()
    assert transfer.checkpoints
    sizes = [ByteRanges.parse(text).size for text in transfer.checkpoints]
    assert sizes == sorted(sizes)
    await part.close()


def refusal(kind: str) -> ScriptedResponse:
    match kind:
        case "reset":
            return ScriptedResponse(raw=b"")
        case "page":
            return ScriptedResponse(raw=b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 4\r\n\r\nBusy")
        case "range without a tag":
            return ScriptedResponse(size=SIZE, honour_if_range=False)
        case _:
            return error_response(int(kind))


@pytest.mark.parametrize("kind", ["403", "404", "410", "429", "500", "503", "reset", "page", "range without a tag"])
async def test_a_refused_further_connection_leaves_the_rest_to_the_first(
    part: Part, session: Session, origin: Origin, kind: str
) -> None:
    good = ScriptedResponse(size=SIZE, etag='"v"', rate=40_000_000)
    origin.set_fallback(lambda request: refusal(kind) if request.field("Range") else good)
    transfer = Transfer(part, session, [origin.url("/f")], ByteRanges())
    await transfer.run_with_first(session)
    assert await part.read(0, SIZE + 1) == expected_bytes(0, 0, SIZE)
    assert [request.field("Range") for request in origin.requests("/f")].count(None) == 1
    assert transfer.dropped == {}
    await part.close()


@pytest.mark.parametrize("kind", ["503", "page", "ranges ignored"])
async def test_the_first_connection_waits_at_its_end_for_the_answer_to_the_others(
    part: Part, session: Session, origin: Origin, kind: str
) -> None:
    late = asyncio.Event()
    good = ScriptedResponse(size=SIZE, etag='"v"')
    other = replace(good, honour_ranges=False) if kind == "ranges ignored" else refusal(kind)
    origin.set_fallback(lambda request: replace(other, head_event=late) if request.field("Range") else good)
    transfer = Transfer(part, session, [origin.url("/f")], ByteRanges())
    running = asyncio.get_running_loop().create_task(transfer.run_with_first(session))
    # Its own segment is complete.
    await wait_until(lambda: part.size == SIZE // 4)
    late.set()
    await running
    assert await part.read(0, SIZE + 1) == expected_bytes(0, 0, SIZE)
    assert [request.field("Range") for request in origin.requests("/f")].count(None) == 1
    await part.close()


async def test_another_version_for_a_further_connection_of_the_first_source_ends_the_transfer(
    part: Part, session: Session, origin: Origin
) -> None:
    good = ScriptedResponse(size=SIZE, etag='"v"', rate=10_000_000)
    origin.set_fallback(lambda request: ScriptedResponse(size=SIZE, etag='"w"') if request.field("Range") else good)
    with pytest.raises(RepresentationChangedError):
        await Transfer(part, session, [origin.url("/f")], ByteRanges()).run_with_first(session)
    await part.close()


@pytest.mark.parametrize("status", [403, 404])
async def test_a_lasting_refusal_is_transient_if_another_connection_was_answered(
    part: Part, session: Session, origin: Origin, status: int
) -> None:
    cut = ScriptedResponse(size=SIZE, etag='"v"', cut_after=3 << 20, rate=10_000_000)
    origin.set_fallback(lambda request: error_response(status) if request.field("Range") else cut)
    with pytest.raises(DownloadError) as caught:
        await Transfer(part, session, [origin.url("/f")], ByteRanges()).run_with_first(session)
    assert caught.value.transient
    # Without any answer the refusal is that of the file.
    with pytest.raises(DownloadError) as caught:
        await Transfer(part, session, [origin.url("/f")], ByteRanges()).run()
    assert not caught.value.transient
    await part.close()


async def test_an_origin_without_ranges_for_preconditions_serves_several_connections(
    part: Part, session: Session, origin: Origin
) -> None:
    good = ScriptedResponse(size=SIZE, etag='"v"')
    whole = ScriptedResponse(size=SIZE, etag='"v"', honour_ranges=False)
    origin.set_fallback(lambda request: whole if request.field("If-Range") else good)
    await Transfer(part, session, [origin.url("/f")], ByteRanges()).run()
    assert await part.read(0, SIZE + 1) == expected_bytes(0, 0, SIZE)
    await part.close()


async def test_connections_that_a_redirect_leads_to_a_full_origin_leave_the_rest_to_the_others(
    part: Part, session: Session, origin: Origin
) -> None:
    async with Origin() as target:
        target.script("/f", ScriptedResponse(size=SIZE, etag='"v"', rate=20_000_000))
        origin.script("/f", redirect(target.url("/f")))
        slots = FakeSlots(limits={target.url(""): 2})
        transfer = Transfer(part, session, [origin.url("/f")], ByteRanges(), redirects=RedirectSlots(1, slots))
        transfer.sources[0].slots = 6
        await transfer.fetch.fetch(divide([(0, SIZE)], 6), None)
        assert await part.read(0, SIZE + 1) == expected_bytes(0, 0, SIZE)
        assert (target.max_active("/f"), slots.acquired[target.url("")]) == (2, 1)
        assert set(transfer.answered_by) == {target.url("")}
        assert transfer.dropped == {}
    await part.close()


async def test_without_any_slot_behind_a_redirect_the_transfer_waits(
    part: Part, session: Session, origin: Origin
) -> None:
    async with Origin() as target:
        origin.script("/f", redirect(target.url("/f")))
        redirects = RedirectSlots(1, FakeSlots(limits={target.url(""): 0}))
        with pytest.raises(NoSlotError) as waiting:
            await Transfer(part, session, [origin.url("/f")], ByteRanges(), redirects=redirects).run()
        assert (waiting.value.source, waiting.value.target) == (0, target.url(""))
        assert waiting.value.failure is None
        assert target.connections == 0
    await part.close()
