"""Comparison of responses with a part file, over real sockets and disks."""

import pytest
from support.downloads import with_fields
from support.origin.content import expected_bytes
from support.origin.origin import Origin
from support.origin.scripted_response import ScriptedResponse
from support.sample_downloads import sample_download

from downloadd.download import Download
from downloadd.storage.destination import Part
from downloadd.storage.local import LocalDestination
from downloadd.storage.names import parse_filename
from downloadd.transfer.classification import RangeRequest
from downloadd.transfer.overlap import SAMPLE_BYTES, match_changed_url, plan_resumed_request, starts_with_part
from downloadd.transfer.request_planning import CompletePart
from downloadd.transfer.session import Session

SIZE = 200_000
RECEIVED = 100_000


async def open_part(destination: LocalDestination, row: Download, content: bytes) -> Part:
    part = await destination.open_part(
        directory="", filename=parse_filename("a"), download_id=row.id, epoch=1, existing=None
    )
    await part.write([content], 0)
    return part


@pytest.mark.parametrize(
    ("answer", "changes", "matches"),
    [
        pytest.param({}, {}, True, id="the same bytes"),
        pytest.param({}, {"validator": None}, True, id="no validator before"),
        pytest.param({"seed": 1}, {}, False, id="other bytes"),
        pytest.param({"etag": '"w"'}, {}, False, id="another validator"),
        pytest.param({"etag": None}, {}, False, id="no validator"),
        pytest.param({"size": SIZE + 1}, {}, False, id="another length"),
        pytest.param({"honour_ranges": False}, {}, False, id="no ranges"),
        pytest.param({}, {"total": None}, False, id="unknown length"),
        pytest.param({}, {"received_ranges": f"0-{RECEIVED + 1}"}, False, id="more recorded than received"),
        pytest.param({}, {"received_ranges": "0-10,50-60"}, True, id="ranges"),
    ],
)
async def test_a_changed_url_matches_only_with_the_same_length_validator_and_bytes(
    destination: LocalDestination,
    session: Session,
    origin: Origin,
    answer: dict[str, object],
    changes: dict[str, object],
    matches: bool,
) -> None:
    fields: dict[str, object] = {"size": SIZE, "etag": '"v"', **answer}
    origin.script("/f", ScriptedResponse(**fields))  # type: ignore[arg-type]
    row = sample_download(url=origin.url("/f"), validator='"v"', total=SIZE, url_changed=True)
    row = with_fields(row, **changes)
    part = await open_part(destination, row, expected_bytes(0, 0, RECEIVED))
    matched = await match_changed_url(row, part, session=session, now=0)
    assert (matched is not None) is matches
    if matched is not None:
        assert (matched.progress.url_changed, matched.progress.validator) == (False, '"v"')
    await part.close()


@pytest.mark.parametrize("seed", [0, 1])
async def test_a_content_starts_with_the_part_or_not(
    destination: LocalDestination, session: Session, origin: Origin, seed: int
) -> None:
    origin.script("/f", ScriptedResponse(size=SIZE, seed=seed))
    part = await open_part(destination, sample_download(), expected_bytes(0, 0, RECEIVED))
    async with session.get(origin.url("/f"), RangeRequest()) as response:
        assert await starts_with_part(response.content, part, 0, RECEIVED) is (seed == 0)
        assert await response.content.read(10) == expected_bytes(seed, RECEIVED, RECEIVED + 10)
    await part.close()


@pytest.mark.parametrize(
    ("changes", "must_compare", "start"),
    [
        ({}, False, RECEIVED),
        ({}, True, RECEIVED - SAMPLE_BYTES),
        ({"coding": "gzip"}, False, RECEIVED - SAMPLE_BYTES),
        ({"final_url_digest": "d"}, False, RECEIVED - SAMPLE_BYTES),
    ],
)
def test_an_overlap_is_requested_if_the_validator_does_not_identify_the_bytes(
    changes: dict[str, object], must_compare: bool, start: int
) -> None:
    row = with_fields(sample_download(validator='"v"', total=SIZE), **changes)
    request = plan_resumed_request(row, received=RECEIVED, must_compare=must_compare)
    assert isinstance(request, RangeRequest)
    assert (request.start, request.has_overlap) == (start, start != RECEIVED)
    assert isinstance(plan_resumed_request(row, received=SIZE, must_compare=must_compare), CompletePart)
