"""What to ask the origin for, given what is in the part file.

Pure: no I/O and no clock.
"""

import msgspec

from downloadd.transfer.byte_ranges import ByteRanges
from downloadd.transfer.classification import RangeRequest
from downloadd.transfer.segments import Segment, divide


def plan_segments(
    kept: ByteRanges, *, size: int, validator: str | None, total: int | None, count: int
) -> list[Segment] | None:
    """Who fetches what is missing of a part file that is not filled from its start on.

    None when nothing can be kept of it: its bytes cannot be vouched for, or are not there.

    Args:
        kept: what is in the part file, as it was written down.
        size: of the part file, in bytes.
        validator: the strong validator that the bytes came under.
        total: the complete length.
        count: how many connections there may be.
    """
    if validator is None or total is None or kept.end > min(size, total) or not kept.size:
        return None
    return divide(kept.gaps(total), count)


class CompletePart(msgspec.Struct, frozen=True, kw_only=True):
    """Every byte is in the part file: there is nothing to ask for."""


def plan_request(
    *,
    received: int,
    validator: str | None,
    total: int | None,
    coding: str | None = None,
    content_type: str | None = None,
    overlap: int = 0,
) -> RangeRequest | CompletePart:
    """Decides whether to resume, to start over, or to ask nothing at all.

    An empty part file vouches for nothing, not even for an empty representation; one longer than its representation
    is of another one.

    Args:
        received: bytes in the part file.
        validator: the strong validator that they came under, if any.
        total: the complete length that came with them, if any.
        coding: the content coding that they came in, if any.
        content_type: the media type that they came with, if any.
        overlap: how many of them are asked for once more, to be compared.
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
