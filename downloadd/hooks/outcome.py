"""What became of one try to tell a hook, and what follows: another try, or none.

Pure: no I/O and no clock.
"""

from typing import Final

import msgspec

from downloadd.manager.retry import backoff

FIRST_DELAY: Final = 5.0
"""Seconds before the second try, before jitter; each further one takes twice as long."""
LONGEST_DELAY: Final = 6 * 3600.0
"""Seconds; what the receiver asks for may be longer."""
LIFETIME: Final = 24 * 3600.0
"""Seconds after the end of the download beyond which no further try is made."""


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """The hook knows."""

    answer: str
    """Status or exit status, for the log."""


class NotTold(msgspec.Struct, frozen=True, kw_only=True):
    """The try failed."""

    reason: str
    """A sentence for the log, without secrets."""
    retry_after: float | None = None
    """Seconds for which the receiver asked to be left alone."""
    final: bool = False
    """The receiver wants to hear no more of it."""


class Later(msgspec.Struct, frozen=True, kw_only=True):
    """Another try follows."""

    due: float
    """Unix time."""


class GiveUp(msgspec.Struct, frozen=True, kw_only=True):
    """Nobody will be told."""


def decide(failure: NotTold, *, tries: int, created: float, now: float, random: float) -> Later | GiveUp:
    """What follows a failed try.

    Args:
        failure: how it failed.
        tries: those that failed so far, this one included.
        created: when the download ended.
        now: Unix time, as `created` is.
        random: from [0, 1), for the jitter.
    """
    asked = min(failure.retry_after or 0.0, LIFETIME)
    due = now + max(backoff(tries, first=FIRST_DELAY, longest=LONGEST_DELAY, random=random), asked)
    return GiveUp() if failure.final or due > created + LIFETIME else Later(due=due)
