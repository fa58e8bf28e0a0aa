"""Comparison of received bytes with those in a part file, which proves that both are of one version."""

from random import random

from downloadd.errors import NetworkError, NetworkErrorKind
from downloadd.origin.content import Content
from downloadd.storage.destination import Part
from downloadd.transfer.classification import UseResponse
from downloadd.transfer.representation import Representation
from downloadd.transfer.resume import OVERLAP_BYTES, Evidence, RangeRequest
from downloadd.transfer.samples import MAX_CANDIDATES, Place, is_distinctive, propose_places, select_places
from downloadd.transfer.source_requests import SourceRequests
from downloadd.transfer.sources import Source


async def compare_samples(part: Part, known: Representation, requests: SourceRequests) -> Source | None:
    """Return the source that has the same bytes as the part file at some places before the overlap at its end.

    Return None if a sample differs, or if the bytes of the part file prove too little.

    Raises:
        DownloadError: no source answered.
    """
    places = await _choose_places(part)
    sampled: Source | None = None
    for start, end in places or ():
        source = await compare_range(
            part, known, requests, RangeRequest(start=start, end=end, evidence=Evidence.OVERLAP)
        )
        if source is None or sampled not in {None, source}:
            return None
        sampled = source
    return sampled


async def compare_end(part: Part, known: Representation, requests: SourceRequests, end: int) -> Source | None:
    """Return the source that has the same validator, and the same bytes before `end`; None if none has.

    Raises:
        DownloadError: no source answered.
    """
    if known.validator is None or not end:
        return None
    start = max(0, end - OVERLAP_BYTES)
    request = RangeRequest(start=start, end=end, evidence=Evidence.IF_RANGE, if_range=known.validator)
    return await compare_range(part, known, requests, request)


async def compare_range(
    part: Part, known: Representation, requests: SourceRequests, request: RangeRequest
) -> Source | None:
    """Return the source that sends the same range as the part file has; None if it sends another one."""
    assert request.end is not None  # noqa: S101 - narrows the type; a range that is compared has an end
    async with requests.first_response(request, known) as (source, response, classification):
        if not isinstance(classification, UseResponse) or not classification.is_partial:
            return None
        is_same = await starts_with_part(response.content, part, request.start, request.end)
        return source if is_same else None


async def starts_with_part(content: Content, part: Part, start: int, end: int) -> bool:
    """Return True if a content begins with the bytes of the part file from `start` up to `end`; they are consumed.

    Raises:
        NetworkError: the content ended before that, though its head announced more: that proves nothing.
    """
    received = bytearray()
    while len(received) < end - start and (data := await content.read(end - start - len(received))):
        received += data
    announced = content.expected_length
    if announced is not None and len(received) < min(announced, end - start):
        raise NetworkError("the connection ended before the last byte", kind=NetworkErrorKind.CUT)
    return bytes(received) == await part.read(start, end - start)


async def _choose_places(part: Part) -> list[Place] | None:
    end = part.size - OVERLAP_BYTES
    # By chance, since an origin must not know the places.
    places = propose_places(end, [random() for _ in range(MAX_CANDIDATES)])  # noqa: S311 - not a secret
    distinctive = [(start, stop) for start, stop in places if is_distinctive(await part.read(start, stop - start))]
    return select_places(end, places, distinctive)
