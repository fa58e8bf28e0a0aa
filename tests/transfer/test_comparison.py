"""Comparison of responses with a part file, over real sockets and disks."""

from collections.abc import AsyncIterator

import pytest
from support.fake_slots import FakeSlots
from support.origin.content import expected_bytes
from support.origin.origin import Origin
from support.origin.scripted_response import Framing, ScriptedResponse
from support.sample_downloads import sample_download

from downloadd.errors import NetworkError, RemoteError
from downloadd.storage.destination import Part
from downloadd.storage.local import LocalDestination
from downloadd.storage.names import parse_filename
from downloadd.transfer.comparison import compare_end, compare_samples, starts_with_part
from downloadd.transfer.representation import Representation
from downloadd.transfer.resume import RangeRequest
from downloadd.transfer.session import Session
from downloadd.transfer.source_requests import SourceRequests

SIZE = 400_000
RECEIVED = 200_000
KNOWN = Representation(total=SIZE, validator='"v"')
WEAK = Representation(total=SIZE)


@pytest.fixture
async def part(destination: LocalDestination) -> AsyncIterator[Part]:
    part = await destination.open_part(
        directory="", filename=parse_filename("a"), download_id=sample_download().id, epoch=1, existing=None
    )
    await part.write([expected_bytes(0, 0, RECEIVED)], 0)
    yield part
    await part.close()


@pytest.fixture
def requests(session: Session, origin: Origin) -> SourceRequests:
    row = sample_download(url=origin.url("/f"), origin=origin.url("").rstrip("/"))
    return SourceRequests(row, session=session, cookies=session.make_cookie_jar(), slots=FakeSlots(), max_size=0)


@pytest.mark.parametrize(
    ("answer", "is_same"),
    [
        pytest.param({}, True, id="the same bytes"),
        pytest.param({"seed": 1}, False, id="other bytes"),
        pytest.param({"size": SIZE + 1}, False, id="another length"),
        pytest.param({"honour_ranges": False}, False, id="no ranges"),
    ],
)
async def test_samples_are_of_the_same_version_or_not(
    part: Part, requests: SourceRequests, origin: Origin, answer: dict[str, object], is_same: bool
) -> None:
    fields: dict[str, object] = {"size": SIZE, **answer}
    origin.script("/f", ScriptedResponse(**fields))  # type: ignore[arg-type]
    sampled = await compare_samples(part, WEAK, requests)
    assert (sampled is requests.sources[0]) is is_same
    assert len(origin.requests("/f")) == (3 if is_same else 1)


async def test_two_downloads_are_compared_at_different_places(
    part: Part, requests: SourceRequests, origin: Origin
) -> None:
    origin.script("/f", ScriptedResponse(size=SIZE))
    await compare_samples(part, WEAK, requests)
    await compare_samples(part, WEAK, requests)
    assert len({request.field("Range") for request in origin.requests("/f")}) > 3


async def test_an_error_is_not_a_difference(part: Part, requests: SourceRequests, origin: Origin) -> None:
    origin.script("/f", ScriptedResponse(status=503))
    with pytest.raises(RemoteError):
        await compare_samples(part, WEAK, requests)


async def test_uniform_bytes_are_not_compared(
    destination: LocalDestination, requests: SourceRequests, origin: Origin
) -> None:
    part = await destination.open_part(
        directory="", filename=parse_filename("z"), download_id=sample_download(1).id, epoch=1, existing=None
    )
    await part.write([bytes(RECEIVED)], 0)
    assert await compare_samples(part, WEAK, requests) is None
    assert origin.requests("/f") == []
    await part.close()


@pytest.mark.parametrize(
    ("answer", "known", "end", "is_same"),
    [
        pytest.param({}, KNOWN, RECEIVED, True, id="the same"),
        pytest.param({}, KNOWN, 10, True, id="few bytes"),
        pytest.param({}, KNOWN, 0, False, id="no bytes"),
        pytest.param({"seed": 1}, KNOWN, RECEIVED, False, id="other bytes"),
        pytest.param({"etag": '"w"'}, KNOWN, RECEIVED, False, id="another validator"),
        pytest.param({"etag": None}, KNOWN, RECEIVED, False, id="no validator"),
        pytest.param({"size": SIZE + 1}, KNOWN, RECEIVED, False, id="another length"),
        pytest.param({}, WEAK, RECEIVED, False, id="no validator before"),
    ],
)
async def test_another_url_needs_the_same_validator_and_bytes(
    part: Part,
    requests: SourceRequests,
    origin: Origin,
    answer: dict[str, object],
    known: Representation,
    end: int,
    is_same: bool,
) -> None:
    fields: dict[str, object] = {"size": SIZE, "etag": '"v"', **answer}
    origin.script("/f", ScriptedResponse(**fields))  # type: ignore[arg-type]
    assert (await compare_end(part, known, requests, end) is not None) is is_same


@pytest.mark.parametrize("seed", [0, 1])
async def test_a_content_starts_with_the_part_or_not(part: Part, session: Session, origin: Origin, seed: int) -> None:
    origin.script("/f", ScriptedResponse(size=SIZE, seed=seed))
    async with session.get(origin.url("/f"), RangeRequest()) as response:
        assert await starts_with_part(response.content, part, 0, RECEIVED) is (seed == 0)
        assert await response.content.read(10) == expected_bytes(seed, RECEIVED, RECEIVED + 10)


async def test_a_content_that_ends_too_early_is_not_a_difference(part: Part, session: Session, origin: Origin) -> None:
    # The end of the connection is the end of the content, and the head says how long it is.
    origin.script("/f", ScriptedResponse(size=RECEIVED // 2, framing=Framing.CLOSE))
    async with session.get(origin.url("/f"), RangeRequest()) as response:
        response.content.expected_length = SIZE
        with pytest.raises(NetworkError):
            await starts_with_part(response.content, part, 0, RECEIVED)
