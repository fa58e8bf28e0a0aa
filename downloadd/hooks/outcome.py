"""Outcome of an attempt to deliver a message, and the decision about another attempt.

Pure: no I/O and no clock.
"""

from typing import Final

import msgspec

from downloadd.manager.retry import backoff

INITIAL_DELAY_SECONDS: Final = 5.0
"""Seconds before the second attempt, without jitter; the delay doubles with each further attempt."""
MAX_DELAY_SECONDS: Final = 6 * 3600.0
"""Seconds between two attempts at most; the receiver may ask for more."""
MAX_AGE_SECONDS: Final = 24 * 3600.0
"""Seconds after the end of the download, after which no attempt is made."""


class Delivered(msgspec.Struct, frozen=True, kw_only=True):
    """Message that the hook received."""

    answer: str
    """HTTP status or exit status, for the log."""


class DeliveryFailed(msgspec.Struct, frozen=True, kw_only=True):
    """Failed attempt."""

    reason: str
    """Sentence for the log, without secrets."""
    retry_after: float | None = None
    """Seconds that the receiver asks to wait."""
    permanent: bool = False
    """True if the receiver accepts no other attempt."""


class RetryAt(msgspec.Struct, frozen=True, kw_only=True):
    """Decision for another attempt."""

    due: float
    """Unix time of the attempt."""


class Abort(msgspec.Struct, frozen=True, kw_only=True):
    """Decision to discard the delivery."""


def decide(failure: DeliveryFailed, *, tries: int, created: float, now: float, random: float) -> RetryAt | Abort:
    """Decide what follows a failed attempt.

    Args:
        failure: the failed attempt.
        tries: failed attempts, this one included.
        created: Unix time of the end of the download.
        now: Unix time.
        random: a number in [0, 1) for the jitter.
    """
    retry_after = min(failure.retry_after or 0.0, MAX_AGE_SECONDS)
    due = now + max(
        backoff(tries, initial=INITIAL_DELAY_SECONDS, maximum=MAX_DELAY_SECONDS, random=random), retry_after
    )
    return Abort() if failure.permanent or due > created + MAX_AGE_SECONDS else RetryAt(due=due)
