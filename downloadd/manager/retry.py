"""Try again, or give up? Decided from what failed, how often, and how long is left.

Pure: no I/O and no clock.
"""

from typing import Final

import msgspec

from downloadd.errors import DownloadError, InsufficientStorageError, StorageGoneError

FIRST_DELAY: Final = 0.5
"""Seconds before the first retry, before jitter."""
FIRST_DELAY_FOR_ROOM: Final = 10.0
"""Seconds likewise, when there was no room on the disk: somebody has to make some first."""
LONGEST_DELAY: Final = 60.0
"""Seconds; what the origin asks for may be longer."""
LONGEST_RETRY_AFTER: Final = 86_400.0
"""Seconds; an origin that asks for more than a day is taken to mean a day."""
LONGEST_HOST_WAIT: Final = 3_600.0
"""Seconds for which one answer can hold back the other downloads from its host, whatever their own timeouts are."""


class Retry(msgspec.Struct, frozen=True, kw_only=True):
    """Another attempt follows."""

    delay: float
    """Seconds from now."""
    failures: int
    """Failed attempts in a row that brought nothing new, this one included."""
    host_waits: float | None
    """Seconds, if the origin asked for the delay: every download from the host waits them out."""


class GiveUp(msgspec.Struct, frozen=True, kw_only=True):
    """The download fails with the error of this attempt."""

    failures: int
    host_waits: float | None = None
    """Seconds for which the origin asked to be left alone: other downloads from the host wait them out all the same."""


def decide(
    error: DownloadError,
    *,
    failures: int,
    retries: int,
    progressed: bool,
    excused: bool = False,
    time_left: float | None,
    random: float,
) -> Retry | GiveUp:
    """What follows a failed attempt.

    Args:
        error: what it failed with; only a transient one is worth a retry.
        failures: failed attempts in a row before this one.
        retries: how many are allowed in a row.
        progressed: the attempt brought bytes that are kept, so the count starts anew.
        excused: the attempt had to wait for the records, so that no failure of it counts.
        time_left: seconds of the download's timeout; None without one. A retry that could only start after it is
            none.
        random: from [0, 1), for the jitter, so that many downloads do not come back at the same moment.
    """
    # While the storage is gone, nothing starts: no attempt is to blame, and none is spent.
    failures = 1 if progressed else failures + (not (excused or isinstance(error, StorageGoneError)))
    if not error.transient:
        return GiveUp(failures=failures)
    asked = None if error.retry_after is None else min(error.retry_after, LONGEST_RETRY_AFTER)
    if failures > retries:
        return GiveUp(failures=failures, host_waits=_of_host(asked))
    first = FIRST_DELAY_FOR_ROOM if isinstance(error, InsufficientStorageError) else FIRST_DELAY
    delay = max(backoff(failures, first=first, longest=LONGEST_DELAY, random=random), asked or 0.0)
    if time_left is not None and delay >= time_left:
        return GiveUp(failures=failures, host_waits=_of_host(asked))
    return Retry(delay=delay, failures=failures, host_waits=None if asked is None else _of_host(delay))


def _of_host(delay: float | None) -> float | None:
    return None if delay is None else min(delay, LONGEST_HOST_WAIT)


def backoff(failures: int, *, first: float, longest: float, random: float) -> float:
    """Seconds before another try after so many failures in a row: twice as long each time, with jitter.

    `first` and `longest` are seconds before the jitter, which takes off up to half; `random` is from [0, 1).
    """
    return min(first * 2.0 ** min(failures - 1, 30), longest) * (0.5 + random / 2)
