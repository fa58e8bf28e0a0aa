"""Claim of a waiting download by a run.

Pure: no I/O and no clock.
"""

from msgspec.structs import replace

from downloadd.download import Desired, Download
from downloadd.states import WAITING, Trigger, advance


def claim(download: Download | None) -> Download | None:
    """Return a download as its run begins with it; None if it does not wait, or if a user wants it stopped."""
    if download is None or download.state not in WAITING or download.control.desired is not Desired.RUN:
        return None
    return replace(
        download.with_progress(attempt=download.progress.attempt + 1, not_before=None),
        state=advance(download.state, Trigger.CLAIM),
        epoch=download.epoch + 1,
    )
