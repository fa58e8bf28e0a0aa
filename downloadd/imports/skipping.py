"""Reports of parts of an import file that are skipped.

Pure: no I/O and no clock.
"""

from typing import Final

from downloadd.import_operation import SkippedEntry, SkipReason

MAX_SHOWN_CHARACTERS: Final = 80
"""Characters of a name in a report; the file may have any."""


def shorten(text: str) -> str:
    """Return the beginning of a text that the file may have at any length."""
    return text[:MAX_SHOWN_CHARACTERS]


def malformed(entry: str, detail: str, *, line: int | None = None, channel_id: str = "") -> SkippedEntry:
    """Return the report of a line, row or element that cannot be decoded."""
    return SkippedEntry(
        reason=SkipReason.MALFORMED, detail=detail, entry=shorten(entry), line=line, channel_id=channel_id
    )
