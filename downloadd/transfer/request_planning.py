"""Planning of the next request from the bytes in the part file.

Pure: no I/O and no clock.
"""

import msgspec

from downloadd.transfer.byte_ranges import ByteRanges
from downloadd.transfer.classification import RangeRequest
from downloadd.transfer.segments import Segment, divide


def plan_segments(
    kept: ByteRanges, *, size: int, validator: str | None, total: int | None, count: int
) -> list[Segment] | None:
    """Divide the missing ranges of a part file with gaps into segments.

    Return None if nothing of it can be kept: its bytes have no validator, or the file is too short.

    Args:
        kept: the recorded ranges of the part file.
        size: bytes of the part file.
        validator: the strong validator of the received bytes.
        total: the complete length.
        count: the maximum number of connections.
    """
    if validator is None or total is None or kept.end > min(size, total) or not kept.size:
        return None
    return divide(kept.gaps(total), count)


class CompletePart(msgspec.Struct, frozen=True, kw_only=True):
    """The part file is complete: no request is needed."""


def plan_request(
    *,
    received: int,
    validator: str | None,
    total: int | None,
    coding: str | None = None,
    content_type: str | None = None,
    overlap: int = 0,
) -> RangeRequest | CompletePart:
    """Return the request that resumes or starts over, or `CompletePart` if none is needed.

    An empty part file is not complete, even if the representation is empty; one longer than the representation is
    of another version.

    Args:
        received: bytes in the part file.
        validator: their strong validator, if any.
        total: the complete length received with them, if any.
        coding: their content coding, if any.
        content_type: the Content-Type received with them, if any.
        overlap: number of them to request again, for a comparison.
    """
    if received > 0 and received == total:
        return CompletePart()
    if received <= overlap or validator is None or (total is not None and received > total):
        return RangeRequest()
    return RangeRequest(
        start=received - overlap,
        validator=validator,
        total=total,
        coding=coding,
        content_type=content_type,
        has_overlap=overlap > 0,
    )
