"""The decision between another attempt and the end of a download after a failure.

Pure: no I/O and no clock.
"""

from typing import Final

import msgspec

from downloadd.errors import DownloadError, InsufficientStorageError, StorageRootMissingError

INITIAL_DELAY_SECONDS: Final = 0.5
"""Seconds before the first retry, before jitter."""
INITIAL_STORAGE_DELAY_SECONDS: Final = 10.0
"""Seconds before the first retry when the disk was full: space has to be freed first."""
MAX_DELAY_SECONDS: Final = 60.0
"""Seconds; a delay that the origin asks for may be longer."""
MAX_RETRY_AFTER_SECONDS: Final = 86_400.0
"""Seconds; a longer `Retry-After` is shortened to this."""
MAX_HOST_BACKOFF_SECONDS: Final = 3_600.0
"""Seconds for which one response can delay the other downloads from its host."""


class Retry(msgspec.Struct, frozen=True, kw_only=True):
    """Another attempt follows."""

    delay: float
    """Seconds from now."""
    failures: int
    """Failed attempts in a row without new bytes, including this one."""
    host_backoff: float | None
    """Seconds, if the origin asked for the delay; all downloads from the host wait for them."""


class Abort(msgspec.Struct, frozen=True, kw_only=True):
    """The download fails with the error of this attempt."""

    failures: int
    """Failed attempts in a row without new bytes, including this one."""
    host_backoff: float | None = None
    """Seconds, if the origin asked for a delay; the other downloads from the host wait for them."""


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
    """Return the decision after a failed attempt.

    Args:
        error: its error; only a transient one is retried.
        failures: failed attempts in a row before this one.
        retries: failed attempts in a row that are followed by another one.
        progressed: True if the attempt received bytes that are kept; the count starts again.
        excused: True if the attempt had to wait for the records; its failure does not count.
        time_left: seconds of the download's timeout; None without one. A retry must start before they end.
        random: from [0, 1), for the jitter, which keeps many downloads from retrying at the same moment.
    """
    # While the storage root is missing, no attempt can succeed; its failure does not count.
    failures = (0 if progressed else failures) + (not (excused or isinstance(error, StorageRootMissingError)))
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
    """Return the seconds before another try after `failures` in a row: doubled each time, with jitter.

    `initial` and `maximum` are seconds before the jitter, which subtracts up to half; `random` is from [0, 1).
    """
    return min(initial * 2.0 ** min(failures - 1, 30), maximum) * (0.5 + random / 2)
