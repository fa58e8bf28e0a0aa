"""Requests to several sources, on real sockets."""

from collections import Counter
from collections.abc import AsyncIterator

import pytest
from support.fake_slots import FakeSlots
from support.origin.origin import Origin
from support.origin.scripted_response import ScriptedResponse, error_response, redirect
from support.sample_downloads import sample_download

from downloadd.download import Mirror
from downloadd.errors import DownloadError, ErrorCode, RemoteFileNotFoundError
from downloadd.transfer import source_requests
from downloadd.transfer.classification import UseResponse
from downloadd.transfer.representation import Representation
from downloadd.transfer.resume import RangeRequest
from downloadd.transfer.session import Session
from downloadd.transfer.source_requests import NoSlotError, SourceRequests

FILE = ScriptedResponse(size=10)


def make_requests(
    origin: Origin,
    session: Session,
    *,
    mirrors: int = 2,
    slots: FakeSlots | None = None,
    error: ErrorCode | None = None,
) -> SourceRequests:
    """Make requests to `/0` on the host of the run and to `/1` and so on at other names of the origin."""
    port = origin.url("/").rpartition(":")[2].strip("/")
    return SourceRequests(
        sample_download(
            url=origin.url("/0"),
            origin=f"http://127.0.0.1:{port}",
            mirrors=tuple(
                Mirror(url=f"http://127.0.0.{number + 1}:{port}/{number}") for number in range(1, mirrors + 1)
            ),
            error=error,
        ),
        session=session,
        cookies=session.make_cookie_jar(),
        slots=slots or FakeSlots(10),
        max_size=0,
    )


@pytest.fixture
async def origin() -> AsyncIterator[Origin]:
    async with Origin(host="0.0.0.0", name="127.0.0.1") as origin:
        yield origin


async def first_source(requests: SourceRequests) -> int:
    async with requests.first_response(RangeRequest(), Representation()) as (source, _, classification):
        assert isinstance(classification, UseResponse)
        return source.index


async def test_the_first_usable_response_is_used_and_errors_are_recorded(origin: Origin, session: Session) -> None:
    origin.script("/0", error_response(404))
    origin.script("/1", FILE)
    requests = make_requests(origin, session)
    assert await first_source(requests) == 1
    assert (requests.count, requests.responding_origin) == (2, origin.url("").replace("127.0.0.1", "127.0.0.2"))
    assert list(requests.errors) == [origin.url("/0")]
    assert [source.index for source in requests.sources] == [1, 2]


async def test_a_transient_error_is_raised_in_preference_to_a_permanent_one(origin: Origin, session: Session) -> None:
    for path, status in (("/0", 404), ("/1", 503), ("/2", 404)):
        origin.script(path, error_response(status))
    with pytest.raises(DownloadError) as failed:
        await first_source(make_requests(origin, session))
    assert failed.value.transient
    with pytest.raises(RemoteFileNotFoundError):
        await first_source(make_requests(origin, session, mirrors=0))


async def test_a_single_source_records_no_errors(origin: Origin, session: Session) -> None:
    requests = make_requests(origin, session, mirrors=0)
    with pytest.raises(RemoteFileNotFoundError):
        await first_source(requests)
    assert requests.errors == {}


async def test_a_source_without_a_slot_is_named_when_the_others_fail(origin: Origin, session: Session) -> None:
    origin.script("/0", error_response(404))
    with pytest.raises(NoSlotError) as waiting:
        await first_source(make_requests(origin, session, slots=FakeSlots(0)))
    assert waiting.value.source == 1
    assert isinstance(waiting.value.failure, RemoteFileNotFoundError)
    assert origin.requests("/1") == []


async def test_a_source_that_redirects_to_an_origin_without_a_slot_is_waited_for(
    origin: Origin, session: Session
) -> None:
    async with Origin() as target:
        origin.script("/0", redirect(target.url("/f")))
        origin.script("/1", error_response(404))
        full = FakeSlots(limits={target.url(""): 0})
        requests = make_requests(origin, session, mirrors=0, slots=full)
        with pytest.raises(NoSlotError) as waiting:
            await first_source(requests)
        assert (waiting.value.source, waiting.value.target, waiting.value.failure) == (0, target.url(""), None)
        assert requests.redirects.targets == {origin.url(""): target.url("")}
        # Another source may have the file.
        with pytest.raises(NoSlotError) as waiting:
            await first_source(make_requests(origin, session, mirrors=1, slots=full))
        assert (waiting.value.source, waiting.value.target) == (0, target.url(""))
        assert isinstance(waiting.value.failure, RemoteFileNotFoundError)
        origin.script("/1", FILE)
        assert await first_source(make_requests(origin, session, mirrors=1, slots=full)) == 1
        assert target.connections == 0


async def test_a_source_behind_a_redirect_has_a_slot_there_until_another_source_is_used(
    origin: Origin, session: Session
) -> None:
    async with Origin() as target:
        origin.script("/0", redirect(target.url("/f")))
        target.script("/f", [FILE, error_response(503)])
        origin.script("/1", FILE)
        slots = FakeSlots()
        requests = make_requests(origin, session, mirrors=1, slots=slots)
        assert await first_source(requests) == 0
        assert (requests.responding_origin, requests.answered_by) == (target.url(""), {target.url("")})
        assert requests.redirects.redirected_by == {origin.url("")}
        assert slots.target == target.url("")
        assert await first_source(requests) == 1
        assert slots.target == ""


async def test_a_failure_behind_a_redirect_is_that_of_the_target(origin: Origin, session: Session) -> None:
    async with Origin() as target:
        origin.script("/0", redirect(target.url("/f")))
        target.script("/f", redirect("http://["))
        requests = make_requests(origin, session, mirrors=0)
        with pytest.raises(DownloadError):
            await first_source(requests)
        assert requests.responding_origin == target.url("")


async def test_slots_are_released_after_a_response(origin: Origin, session: Session) -> None:
    slots = FakeSlots(1)
    origin.script("/0", error_response(404))
    origin.script("/1", FILE)
    requests = make_requests(origin, session, slots=slots)
    async with requests.first_response(RangeRequest(), Representation()):
        assert slots.free == 0
    assert (slots.free, +slots.acquired) == (1, Counter())
    async with requests.distributed_slots(requests.sources, 10) as count:
        assert (count, slots.free) == (2, 0)
    assert slots.free == 1


async def test_a_slow_source_is_tried_again_after_the_others(
    origin: Origin, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source_requests, "SOURCE_TIMEOUT", 0.05)
    origin.script("/0", [ScriptedResponse(size=10, delay=30), FILE])
    origin.script("/1", error_response(404))
    origin.script("/2", error_response(404))
    assert await first_source(make_requests(origin, session)) == 0
    assert len(origin.requests("/0")) == 2


async def test_after_a_checksum_mismatch_one_source_is_used_at_a_time(origin: Origin, session: Session) -> None:
    requests = make_requests(origin, session, error=ErrorCode.CHECKSUM_MISMATCH)
    assert [source.index for source in requests.sources] == [0]
