"""Comparison of new responses with the bytes in a part file."""

from typing import Final

from downloadd.download import Download
from downloadd.storage.destination import Part
from downloadd.transfer.byte_ranges import ByteRanges
from downloadd.transfer.classification import RangeRequest, classify_sample
from downloadd.transfer.content import Content
from downloadd.transfer.request_planning import CompletePart, plan_request
from downloadd.transfer.session import OriginResponse, Session
from downloadd.transfer.sources import Source

SAMPLE_BYTES: Final = 64 * 1024
"""Bytes that are requested again and compared, after a change of the URL or of the target of its redirects."""


def plan_resumed_request(download: Download, *, received: int, must_compare: bool) -> RangeRequest | CompletePart:
    """Plan the next request, with an overlap if the validator alone does not identify the bytes.

    That is so after redirects, under a content coding, and if `must_compare` is true.
    """
    progress = download.progress
    needs_overlap = must_compare or progress.final_url_digest is not None or progress.coding is not None
    return plan_request(
        received=received,
        validator=progress.validator,
        total=progress.total,
        coding=progress.coding,
        content_type=download.result.content_type,
        overlap=SAMPLE_BYTES if needs_overlap else 0,
    )


def has_other_final_url(download: Download, source: Source, response: OriginResponse) -> bool:
    """Return True if redirects led to another resource than before; then the end of the part file must match.

    An entity tag does not identify other resources (RFC 9110, section 8.8.3), but those that a redirect selects are
    usually copies. Mirrors are copies because the user has said so.
    """
    return source.index == download.progress.source and response.final_url_digest != download.progress.final_url_digest


async def match_changed_url(download: Download, part: Part, *, session: Session, now: float) -> Download | None:
    """Return the row to resume under a changed URL, or None if the URL has other bytes than the part file.

    Length, validator and the last bytes of the first range must be the same. `now` is Unix time.
    """
    ranges = download.progress.received_ranges
    received = ByteRanges.parse(f"0-{part.size}" if ranges is None else ranges)
    if not received.size or received.end > part.size or download.progress.total is None:
        return None
    start, end = next(iter(received))
    request = RangeRequest(
        start=max(start, end - SAMPLE_BYTES), end=end, total=download.progress.total, is_comparison=True
    )
    async with session.get(download.request.url, request) as response:
        validator = classify_sample(request, response.head, now=now)
        if validator is None or download.progress.validator not in {None, validator}:
            return None
        sample = bytearray()
        while len(sample) <= end - request.start and (data := await response.content.read()):
            sample += data
    if sample != await part.read(request.start, end - request.start):
        return None
    return download.with_progress(validator=validator, final_url_digest=response.final_url_digest, url_changed=False)


async def starts_with_part(content: Content, part: Part, start: int, end: int) -> bool:
    """Return True if a content begins with the bytes of the part file from `start` up to `end`; they are consumed."""
    received = bytearray()
    while len(received) < end - start and (data := await content.read(end - start - len(received))):
        received += data
        content.release(len(data))
    return bytes(received) == await part.read(start, end - start)
