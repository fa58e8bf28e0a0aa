"""Try again, or give up? Decided from what failed, how often, and how long is left.

Pure: no I/O and no clock.
"""

from typing import Final

import msgspec

from downloadd.errors import DownloadError, InsufficientStorageError, StorageRootMissingError

INITIAL_DELAY_SECONDS: Final = 0.5
"""Seconds before the first retry, before jitter."""
INITIAL_STORAGE_DELAY_SECONDS: Final = 10.0
"""Seconds likewise, when there was no room on the disk: somebody has to make some first."""
MAX_DELAY_SECONDS: Final = 60.0
"""Seconds; what the origin asks for may be longer."""
MAX_RETRY_AFTER_SECONDS: Final = 86_400.0
"""Seconds; an origin that asks for more than a day is taken to mean a day."""
MAX_HOST_BACKOFF_SECONDS: Final = 3_600.0
"""Seconds for which one answer can hold back the other downloads from its host, whatever their own timeouts are."""


class Retry(msgspec.Struct, frozen=True, kw_only=True):
    """Another attempt follows."""

    delay: float
    """Seconds from now."""
    failures: int
    """Failed attempts in a row that brought nothing new, this one included."""
    host_backoff: float | None
    """Seconds, if the origin asked for the delay: every download from the host waits them out."""


class Abort(msgspec.Struct, frozen=True, kw_only=True):
    """The download fails with the error of this attempt."""

    failures: int
    host_backoff: float | None = None
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
) -> Retry | Abort:
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
    failures = 1 if progressed else failures + (not (excused or isinstance(error, StorageRootMissingError)))
    if not error.transient:
        return Abort(failures=failures)
    retry_after = None if error.retry_after is None else min(error.retry_after, MAX_RETRY_AFTER_SECONDS)
    if failures > retries:
        return Abort(failures=failures, host_backoff=_cap_host_backoff(retry_after))
    initial = INITIAL_STORAGE_DELAY_SECONDS if isinstance(error, InsufficientStorageError) else INITIAL_DELAY_SECONDS
    delay = max(backoff(failures, initial=initial, maximum=MAX_DELAY_SECONDS, random=random), retry_after or 0.0)
    if time_left is not None and delay >= time_left:
        return Abort(failures=failures, host_backoff=_cap_host_backoff(retry_after))
    return Retry(delay=delay, failures=failures, host_backoff=None if retry_after is None else _cap_host_backoff(delay))


def _cap_host_backoff(delay: float | None) -> float | None:
    return None if delay is None else min(delay, MAX_HOST_BACKOFF_SECONDS)


def backoff(failures: int, *, initial: float, maximum: float, random: float) -> float:
    """Seconds before another try after so many failures in a row: twice as long each time, with jitter.

    `initial` and `maximum` are seconds before the jitter, which takes off up to half; `random` is from [0, 1).
    """
    return min(initial * 2.0 ** min(failures - 1, 30), maximum) * (0.5 + random / 2)
