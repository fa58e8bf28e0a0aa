"""All users of this node: those of its configuration, and those that were made for all nodes."""

from collections.abc import Callable, Sequence

import structlog

from downloadd.config import UserConfig

log = structlog.get_logger()


class KnownUsers:
    """The users that hold now; those of the configuration have precedence."""

    def __init__(self, configured: Sequence[UserConfig], apply: Callable[[Sequence[UserConfig]], None]) -> None:
        """Take the users of the configuration, which hold already; `apply` replaces all users."""
        self._configured = tuple(configured)
        self._made: tuple[UserConfig, ...] = ()
        self._apply = apply
        self.all: tuple[UserConfig, ...] = self._configured

    def replace_configured(self, users: Sequence[UserConfig]) -> None:
        """Replace the users of the configuration."""
        self._configured = tuple(users)
        self._merge()

    def replace_made(self, users: Sequence[UserConfig]) -> None:
        """Replace the users that were made for all nodes."""
        self._made = tuple(users)
        self._merge()

    def _merge(self) -> None:
        ids = {user.id for user in self._configured}
        hashes = {user.token_hash for user in self._configured}
        hidden = [user.id for user in self._made if user.id in ids or user.token_hash in hashes]
        if hidden:
            log.warning(
                "made_users_left_out", ids=hidden, reason="the configuration has users with their ids or tokens"
            )
        self.all = (*self._configured, *(user for user in self._made if user.id not in hidden))
        self._apply(self.all)
