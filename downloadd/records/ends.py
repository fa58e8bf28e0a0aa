"""Ends of downloads as the records hand them over once they are durable."""

from collections.abc import Callable, Sequence

import msgspec

from downloadd.download import Download
from downloadd.states import State


class RecordedEnd(msgspec.Struct, frozen=True, kw_only=True):
    """End of a download that these records have written."""

    download: Download
    """The finished row, with its `ended_seq`."""
    before: State | None
    """The state of the row before, if the row of an active download was amended; else None."""


EndListener = Callable[[Sequence[RecordedEnd]], None]
"""Receives ends in the order of `ended_seq`; without any, the history may have ends that others wrote."""
