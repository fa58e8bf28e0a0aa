"""All users of this node: those of its configuration, the first one, and those that were made.

Pure but for the log: no I/O and no clock.
"""

from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet

import structlog

from downloadd.accounts.user_store import UserDescription, UserKind, describe_user
from downloadd.config import UserConfig

log = structlog.get_logger()


class KnownUsers:
    """The users that hold now; nothing else decides which tokens are accepted.

    Each source is replaced apart from the others, so that a mistake in one of them keeps no user of another. Of several
    with one id or token, the one of the configuration holds, then the one that was made, then the first one.

    Attributes:
        all: the users that hold.
    """

    def __init__(
        self,
        configured: Sequence[UserConfig],
        apply: Callable[[Sequence[UserConfig]], None],
        *,
        reserved: AbstractSet[str] = frozenset(),
    ) -> None:
        """Take the users of the configuration, and apply them.

        Args:
            configured: the users of the configuration.
            apply: replaces all users.
            reserved: ids for other purposes, which no user who was made can have.
        """
        self._configured = tuple(configured)
        self._made: tuple[UserConfig, ...] = ()
        self._first: UserConfig | None = None
        self._apply = apply
        self._reserved = reserved
        self._hidden: list[str] = []
        self.all: tuple[UserConfig, ...] = self._configured
        apply(self.all)

    def replace_configured(self, users: Sequence[UserConfig]) -> None:
        """Replace the users of the configuration."""
        self._configured = tuple(users)
        self._merge()

    def replace_made(self, users: Sequence[UserConfig]) -> None:
        """Replace the users that were made."""
        self._made = tuple(users)
        self._merge()

    def replace_first(self, user: UserConfig | None) -> None:
        """Replace the first user; None if there is none any more."""
        self._first = user
        self._merge()

    def describe(self) -> list[UserDescription]:
        """Return what is shown of all users: those of the configuration, the first one, and those that were made."""
        order = (UserKind.CONFIGURED, UserKind.FIRST, UserKind.MADE)
        described = [describe_user(user, self._kind_of(user)) for user in self.all]
        return sorted(described, key=lambda each: order.index(each.kind))

    def find_kind(self, id: str) -> UserKind | None:
        """Return where the user with an id is changed; None if there is no such user."""
        return next((self._kind_of(user) for user in self.all if user.id == id), None)

    def is_taken(self, id: str) -> bool:
        """Return True if no user can be made with an id."""
        return id in self._reserved or any(user.id == id for user in self.all)

    def _kind_of(self, user: UserConfig) -> UserKind:
        if user in self._configured:
            return UserKind.CONFIGURED
        return UserKind.MADE if user in self._made else UserKind.FIRST

    def _merge(self) -> None:
        made = [user for user in self._made if user.id not in self._reserved and _is_new(user, self._configured)]
        # Who was given the token of the first user has replaced it.
        first = [user for user in (self._first,) if user is not None and _is_new(user, (*self._configured, *made))]
        hidden = [user.id for user in self._made if user not in made]
        if hidden != self._hidden:
            self._hidden = hidden
            if hidden:
                reason = "the configuration has users with their ids or tokens, or [[watch]] with their ids"
                log.warning("made_users_left_out", ids=hidden, reason=reason)
        former, self.all = self.all, (*self._configured, *made, *first)
        if self.all != former:
            self._apply(self.all)


def _is_new(user: UserConfig, others: Sequence[UserConfig]) -> bool:
    return all(user.id != other.id and user.token_hash != other.token_hash for other in others)
