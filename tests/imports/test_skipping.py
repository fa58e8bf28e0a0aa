"""Reports of parts of an import file that are skipped."""

from downloadd.import_operation import SkippedEntry, SkipReason
from downloadd.imports.skipping import MAX_SHOWN_CHARACTERS, malformed, shorten


def test_a_name_in_a_report_is_short() -> None:
    assert shorten("a" * MAX_SHOWN_CHARACTERS) == "a" * MAX_SHOWN_CHARACTERS
    assert shorten("a" * (MAX_SHOWN_CHARACTERS + 1)) == "a" * MAX_SHOWN_CHARACTERS


def test_a_malformed_element_is_reported_with_its_place() -> None:
    assert malformed("a" * 100, "no user") == SkippedEntry(
        reason=SkipReason.MALFORMED, detail="no user", entry="a" * MAX_SHOWN_CHARACTERS
    )
    found = malformed("day", "no message", line=3, channel_id="C")
    assert (found.line, found.channel_id) == (3, "C")
