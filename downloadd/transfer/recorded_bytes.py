"""Bytes of a part file as its row records them.

Pure: no I/O and no clock.
"""

from downloadd.download import Download
from downloadd.transfer.byte_ranges import ByteRanges
from downloadd.transfer.representation import Representation
from downloadd.transfer.resume import is_resumable


def recorded_ranges(download: Download) -> ByteRanges:
    """Return the ranges of the part file that were on stable storage at the last checkpoint."""
    ranges = download.progress.received_ranges
    return ByteRanges.parse(f"0-{download.progress.received}" if ranges is None else ranges)


def proven_ranges(download: Download, *, allows_overlap: bool) -> ByteRanges:
    """Return the recorded ranges if there is evidence to continue them, else none; see `resume.list_evidence`."""
    recorded, known = recorded_ranges(download), Representation.of(download)
    if download.progress.received_ranges is not None:
        has_evidence = known.validator is not None
    else:
        has_evidence = is_resumable(known, received=recorded.end, allows_overlap=allows_overlap)
    return recorded if has_evidence else ByteRanges()


def record_copy(download: Download, part_name: str, copied: ByteRanges) -> Download:
    """Return the row with a copy of its part file; without any bytes, nothing is known of them either."""
    row = download if copied.size else forget_bytes(download)
    ranges = None if row.progress.received_ranges is None else copied.format()
    return row.with_progress(part_name=part_name, received=copied.size, received_ranges=ranges, superseded=None)


def forget_bytes(download: Download) -> Download:
    """Return the row without received bytes and what is known of them."""
    return download.with_progress(
        received=0,
        received_ranges=None,
        url_changed=False,
        total=None,
        validator=None,
        weak_tag=None,
        resumed_by=None,
    )
