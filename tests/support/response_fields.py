"""Response fields for tests of their parsers."""

from datetime import UTC, datetime
from email.utils import format_datetime

from downloadd.transfer.fields import ContentRange


def format_content_range(content_range: ContentRange) -> str:
    """Return the field value that `parse_content_range` parses."""
    complete_length = "*" if content_range.complete_length is None else content_range.complete_length
    if content_range.first_pos is None:
        return f"bytes */{complete_length}"
    return f"bytes {content_range.first_pos}-{content_range.last_pos}/{complete_length}"


def format_http_date(time: int) -> str:
    """Return the IMF-fixdate of a Unix time from 1900 to 9999."""
    return format_datetime(datetime.fromtimestamp(time, UTC), usegmt=True)
