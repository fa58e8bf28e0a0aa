"""A download that runs, as users see it at one moment.

Pure: no I/O and no clock.
"""

from downloadd.download import Snapshot
from downloadd.states import State
from downloadd.transfer.attempt import Attempt


def current_speed(attempt: Attempt, now: float) -> float:
    """Return the bytes a second over the last seconds; 0 while nothing is transferred. `now` is monotonic time."""
    is_transferring = attempt.download.state is State.DOWNLOADING
    return attempt.meter.speed(now) or 0.0 if is_transferring else 0.0


def take_snapshot(attempt: Attempt, now: float, *, uploaded: int | None) -> Snapshot:
    """Return the download of an attempt as it is now; `uploaded` is the number of bytes that another machine has."""
    known, meter = attempt.download, attempt.meter
    if known.progress.received != meter.received:
        known = known.with_progress(received=meter.received)
    if known.state is not State.DOWNLOADING:
        return Snapshot(download=known, uploaded=uploaded)
    speed = meter.speed(now)
    return Snapshot(
        download=known,
        speed=speed,
        eta=meter.eta(speed),
        connections=attempt.connections,
        current_url=attempt.current_url,
    )
