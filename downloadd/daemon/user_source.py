"""Users of the running daemon: those of the configuration and of `users.toml`, and the first one."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Final

import structlog

from downloadd.accounts.first_user import add_first_user, read_first_user
from downloadd.accounts.user_file import UserFiles, read_users, stat_user_files
from downloadd.config import Config, LoadedConfig, UserConfig
from downloadd.errors import StartupError

USER_POLL_SECONDS: Final = 1.0
"""Seconds after which a change of the users in the state directory is applied."""


class UserSource:
    """Finds the users when the configuration is read again, and when the files of the state directory change.

    Attributes:
        apply: replaces the users of the daemon; set it before `watch`.
    """

    def __init__(
        self,
        state_dir: Path,
        *,
        has_configured_users: bool,
        applied: UserFiles,
        read_config: Callable[[], LoadedConfig],
        log: structlog.typing.FilteringBoundLogger,
    ) -> None:
        """Make a source. Blocks.

        Args:
            state_dir: the directory of the start: a changed one needs a restart.
            has_configured_users: the configuration of the start named users.
            applied: state of the files of the users at the start.
            read_config: reads the configuration; blocks.
            log: the log.
        """
        self.apply: Callable[[tuple[UserConfig, ...]], None] = lambda users: None
        self._read_config = read_config
        self._lock = asyncio.Lock()
        self._state_dir = state_dir
        self._has_configured_users = has_configured_users
        # If the last of them is revoked, nobody may use its token; a lost token file of a first user may be a mistake.
        self._has_made_users = bool(read_users(state_dir))
        self._applied = applied
        self._log = log

    def find(self, config: Config) -> tuple[UserConfig, ...]:
        """Return the users of a configuration that was read again, with the first one. Blocks.

        There may be none if all users of the state directory were removed: the next start makes a first user.

        Raises:
            StartupError: the configuration itself has none any more, or a file of the users is missing or malformed.
        """
        if self._has_configured_users and not names_users(config, self._state_dir):
            # A file is empty for a moment while it is written.
            raise StartupError(
                "the configuration no longer names users, so none of it was applied; "
                "restart the daemon if it should have a first user instead"
            )
        if config.users or self._has_made_users:
            return add_first_user(config.users, self._state_dir)
        return (read_first_user(self._state_dir).user,)

    def confirm(self, config: Config) -> None:
        """Note that a configuration is applied. Blocks."""
        self._has_configured_users = names_users(config, self._state_dir)
        self._has_made_users = bool(read_users(self._state_dir))

    async def watch(self) -> None:
        """Apply changes of the files of the users, until it is cancelled."""
        while True:
            await asyncio.sleep(USER_POLL_SECONDS)
            await self.reread()

    async def reread(self) -> None:
        """Apply the files of the users if they have changed; a mistake in the configuration is logged."""
        async with self._lock:
            found = await asyncio.to_thread(stat_user_files, self._state_dir)
            if found == self._applied:
                return
            self._applied = found
            try:
                users = await asyncio.to_thread(self._find_again)
            except StartupError as error:
                self._log.error("users_not_changed", mistakes=error.message.splitlines())
                return
            self.apply(users)
            self._log.info("users_changed", users=len(users))

    def _find_again(self) -> tuple[UserConfig, ...]:
        config = self._read_config().config
        users = self.find(config)
        self.confirm(config)
        return users


def names_users(config: Config, state_dir: Path) -> bool:
    """Return True if the configuration has users beside those of the state directory. Blocks.

    Raises:
        StartupError: the file of the users cannot be used.
    """
    made = read_users(state_dir)
    return any(user not in made for user in config.users)
