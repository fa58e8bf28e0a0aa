"""The decision between another attempt and the end of a download after a failure.

Pure: no I/O and no clock.
"""

from typing import Final

import msgspec

from downloadd.errors import DownloadError, InsufficientStorageError, StorageAwayError, StorageRootMissingError

INITIAL_DELAY_SECONDS: Final = 0.5
"""Seconds before the first retry, before jitter."""
INITIAL_STORAGE_DELAY_SECONDS: Final = 10.0
"""Seconds before the first retry when the disk was full or away: someone has to free space first, or to mount it."""
MAX_STORAGE_RETRIES: Final = 5
"""Failed attempts in a row for lack of space that are followed by another one: its part file may be what fills the
disk."""
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
    """Counted failed attempts in a row without new bytes, including this one."""


class Abort(msgspec.Struct, frozen=True, kw_only=True):
    """The download fails with the error of this attempt."""

    failures: int
    """Counted failed attempts in a row without new bytes, including this one."""


class TimeSpent(msgspec.Struct, frozen=True, kw_only=True):
    """Times of a download when one of its attempts has failed, in seconds."""

    timed: float | None
    """The time that counts for its timeout; None if this failure must not end the download by its timeout."""
    retrying: float
    """Since the first of its failed attempts in a row."""
    host_failing: float | None = None
    """Since the host began to fail, or the download was accepted or retried by a user, if that was later; None if the
    host has not failed."""


def time_left(spent: TimeSpent, *, timeout: float, retry_for: float) -> float | None:
    """Return the seconds until the download ends by time; None for no limit.

    Args:
        spent: the times.
        timeout: seconds that the download may take; 0 for no limit.
        retry_for: seconds for which attempts without new bytes are repeated; 0 for no limit.
    """
    limits = []
    if timeout and spent.timed is not None:
        limits.append(timeout - max(spent.timed, spent.host_failing or 0.0))
    if retry_for:
        limits.append(retry_for - (spent.retrying if spent.host_failing is None else spent.host_failing))
    return min(limits, default=None)


def decide(
    error: DownloadError,
    *,
    failures: int,
    retries: int,
    progressed: bool,
    is_counted: bool = True,
    pause: float = 0.0,
    wait: float = 0.0,
    time_left: float | None,
    random: float,
) -> Retry | Abort:
    """Return the decision after a failed attempt.

    Args:
        error: its error; only a transient one is retried.
        failures: failed attempts in a row before this one.
        retries: failed attempts in a row that are followed by another one.
        progressed: True if the attempt received bytes that are kept; the count starts again.
        is_counted: False if the attempt failed because of its host, or had to wait for the records.
        pause: seconds until its host may be asked again.
        wait: seconds before another attempt at least.
        time_left: seconds until the download ends by time; None without a limit. A retry must start before.
        random: from [0, 1), for the jitter, which keeps many downloads from retrying at the same moment.
    """
    is_away = isinstance(error, StorageAwayError)
    if is_away:
        # No attempt can succeed until the disk is back: the failure does not count, nor does the time.
        is_counted, time_left = False, None
    failures = (0 if progressed else failures) + is_counted
    lacks_space = isinstance(error, InsufficientStorageError)
    retries = min(retries, MAX_STORAGE_RETRIES) if lacks_space else retries
    if not error.transient or (is_counted and failures > retries):
        return Abort(failures=failures)
    # A root that is missing holds the queue; a disk below it does not.
    is_slow = lacks_space or (is_away and not isinstance(error, StorageRootMissingError))
    initial = INITIAL_STORAGE_DELAY_SECONDS if is_slow else INITIAL_DELAY_SECONDS
    delay = max(
        # After a failure that is not counted, the slots and the circuit of the host limit the attempts.
        backoff(max(1, failures) if is_counted else 1, initial=initial, maximum=MAX_DELAY_SECONDS, random=random),
        # Another download of the host probes it first.
        pause + initial * random if pause else 0.0,
        wait,
        min(error.retry_after or 0.0, MAX_RETRY_AFTER_SECONDS),
    )
    if time_left is not None and delay >= time_left:
        return Abort(failures=failures)
    return Retry(delay=delay, failures=failures)


def backoff(failures: int, *, initial: float, maximum: float, random: float) -> float:
    """Return the seconds before another try after `failures` in a row: doubled each time, with jitter.

    `initial` and `maximum` are seconds before the jitter, which subtracts up to half; `random` is from [0, 1).
    """
    return min(initial * 2.0 ** min(failures - 1, 30), maximum) * (0.5 + random / 2)
