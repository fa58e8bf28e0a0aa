"""Recorded bytes of a row: what is there, what may be continued, and what a copy has."""

from typing import Any

import pytest
from support.downloads import with_fields
from support.sample_downloads import sample_download

from downloadd.download import Download, SupersededPart
from downloadd.transfer.byte_ranges import ByteRanges
from downloadd.transfer.recorded_bytes import forget_bytes, proven_ranges, record_copy, recorded_ranges
from downloadd.transfer.resume import OVERLAP_BYTES

RECEIVED = 2 * OVERLAP_BYTES
RANGES = f"0-{RECEIVED},900000-900001"


def row(**fields: Any) -> Download:
    return with_fields(sample_download(), **{"total": 1_000_000, "received": RECEIVED, **fields})


def test_the_recorded_ranges_are_those_of_the_row_or_all_received_bytes() -> None:
    assert [*recorded_ranges(row())] == [(0, RECEIVED)]
    assert recorded_ranges(row(received_ranges=RANGES)).format() == RANGES


@pytest.mark.parametrize(
    ("fields", "allows_overlap", "is_proven"),
    [
        ({"validator": '"v"'}, False, True),
        ({"validator": '"v"', "received_ranges": RANGES}, False, True),
        ({}, True, True),
        ({}, False, False),
        ({"requested_checksum": "md5=1"}, False, True),
        # The bytes are too few to be compared.
        ({"received": OVERLAP_BYTES}, True, False),
        # Nothing would show that bytes are missing.
        ({"total": None}, True, False),
        ({"received_ranges": RANGES}, True, False),
    ],
)
def test_bytes_are_proven_if_there_is_evidence_to_continue_them(
    fields: dict[str, Any], allows_overlap: bool, is_proven: bool
) -> None:
    known = row(**fields)
    expected = recorded_ranges(known) if is_proven else ByteRanges()
    assert proven_ranges(known, allows_overlap=allows_overlap) == expected


def test_a_copy_has_the_ranges_that_were_copied() -> None:
    superseded = SupersededPart(part_name="old", received=1)
    progress = record_copy(
        row(validator='"v"', superseded=superseded), "copy", ByteRanges.parse(f"0-{RECEIVED}")
    ).progress
    assert (progress.part_name, progress.received, progress.received_ranges) == ("copy", RECEIVED, None)
    assert (progress.validator, progress.superseded) == ('"v"', None)
    progress = record_copy(row(validator='"v"', received_ranges=RANGES), "copy", ByteRanges.parse("0-5,7-9")).progress
    assert (progress.received, progress.received_ranges) == (7, "0-5,7-9")


def test_of_an_empty_copy_nothing_is_known() -> None:
    known = row(validator='"v"', weak_tag="w", received_ranges=RANGES)
    copy = record_copy(known, "copy", ByteRanges())
    assert copy == forget_bytes(known).with_progress(part_name="copy")
    progress = copy.progress
    assert (progress.received, progress.received_ranges, progress.total) == (0, None, None)
    assert (progress.validator, progress.weak_tag, progress.resumed_by) == (None, None, None)
