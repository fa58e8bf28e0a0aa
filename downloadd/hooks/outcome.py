"""What became of one try to tell a hook, and what follows: another try, or none.

Pure: no I/O and no clock.
"""

from typing import Final

import msgspec

from downloadd.manager.retry import backoff

INITIAL_DELAY_SECONDS: Final = 5.0
"""Seconds before the second try, before jitter; each further one takes twice as long."""
MAX_DELAY_SECONDS: Final = 6 * 3600.0
"""Seconds; what the receiver asks for may be longer."""
MAX_AGE_SECONDS: Final = 24 * 3600.0
"""Seconds after the end of the download beyond which no further try is made."""


class Delivered(msgspec.Struct, frozen=True, kw_only=True):
    """The hook knows."""

    answer: str
    """Status or exit status, for the log."""


class DeliveryFailed(msgspec.Struct, frozen=True, kw_only=True):
    """The try failed."""

    reason: str
    """A sentence for the log, without secrets."""
    retry_after: float | None = None
    """Seconds for which the receiver asked to be left alone."""
    permanent: bool = False
    """The receiver wants to hear no more of it."""


class RetryAt(msgspec.Struct, frozen=True, kw_only=True):
    """Another try follows."""

    due: float
    """Unix time."""


class Abort(msgspec.Struct, frozen=True, kw_only=True):
    """Nobody will be told."""


def decide(failure: DeliveryFailed, *, tries: int, created: float, now: float, random: float) -> RetryAt | Abort:
    """What follows a failed try.

    Args:
        failure: how it failed.
        tries: those that failed so far, this one included.
        created: when the download ended.
        now: Unix time, as `created` is.
        random: from [0, 1), for the jitter.
    """
    retry_after = min(failure.retry_after or 0.0, MAX_AGE_SECONDS)
    due = now + max(
        backoff(tries, initial=INITIAL_DELAY_SECONDS, maximum=MAX_DELAY_SECONDS, random=random), retry_after
    )
    return Abort() if failure.permanent or due > created + MAX_AGE_SECONDS else RetryAt(due=due)
