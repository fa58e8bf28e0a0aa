"""Runs of each user, and the users who may start no further one.

A user has slots as an origin has: nodes that share records take them by a name beside those of origins.

Pure: no I/O and no clock.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Final

import msgspec

from downloadd.manager.limits import Limits

_PREFIX: Final = "user:"
"""Begins the names of the slots of users; no origin begins with it."""
_UNLIMITED: Final = 1 << 30
_NO_USERS: Final[Mapping[str, "UserHold"]] = {}


class UserHold(msgspec.Struct, frozen=True, kw_only=True):
    """Reason why no download of a user starts."""

    text: str
    """The reason in words."""
    until: float
    """The time at which it ends, by the clock of the scheduler."""


def name_slots(user: str) -> str:
    """Return the name of the slots of a user."""
    return f"{_PREFIX}{user}"


def user_of(name: str) -> str | None:
    """Return the user whose slots have this name; None if it is an origin."""
    return name.removeprefix(_PREFIX) if name.startswith(_PREFIX) else None


class UserSlots:
    """The running downloads of each user.

    Attributes:
        held: users of whom nothing starts now.
        used: slots that other nodes hold, by name.
    """

    def __init__(self) -> None:
        self.held: Mapping[str, UserHold] = _NO_USERS
        self.used: Mapping[str, int] = {}
        self._running: Counter[str] = Counter()

    def begin(self, user: str) -> None:
        """Count a run of a user."""
        self._running[user] += 1

    def end(self, user: str) -> None:
        """Count a run of a user no longer."""
        self._running[user] -= 1
        if not self._running[user]:
            del self._running[user]

    def count_running(self, user: str) -> int:
        """Return the number of runs of a user on all nodes, as far as they hold slots."""
        return self._running[user] + self.used.get(name_slots(user), 0)

    def full_users(self, limits: Limits) -> frozenset[str]:
        """Return the users of whom nothing may start now."""
        return frozenset(user for user in (*self.held, *limits.runs_by_user) if not self.free_slots(user, limits))

    def free_slots(self, user: str, limits: Limits) -> int:
        """Return the number of downloads of a user that may start now."""
        if user in self.held:
            return 0
        limit = limits.runs_by_user.get(user)
        return _UNLIMITED if limit is None else max(0, limit - self.count_running(user))
