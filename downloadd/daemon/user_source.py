"""Users of the running daemon: those of the configuration and of `users.toml`, and the first one."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Final

import structlog

from downloadd.config import Config, LoadedConfig, UserConfig
from downloadd.daemon.first_user import add_first_user, read_first_user
from downloadd.daemon.user_file import UserFiles, stat_user_files
from downloadd.errors import StartupError

USER_POLL_SECONDS: Final = 1.0
"""Seconds after which a change of the users in the state directory is applied."""


class UserSource:
    """Finds the users when the configuration is read again, and when the files of the state directory change."""

    def __init__(
        self,
        state_dir: Path,
        *,
        has_configured_users: bool,
        applied: UserFiles,
        log: structlog.typing.FilteringBoundLogger,
    ) -> None:
        """Make a source.

        Args:
            state_dir: the directory of the start: a changed one needs a restart.
            has_configured_users: the configuration of the start named users.
            applied: state of the files of the users at the start.
            log: the log.
        """
        self._state_dir = state_dir
        self._has_configured_users = has_configured_users
        self._applied = applied
        self._log = log

    def find(self, config: Config) -> tuple[UserConfig, ...]:
        """Return the users of a configuration that was read again, with the first one. Blocks.

        Raises:
            StartupError: there are none any more, or the token file cannot be used.
        """
        if config.users:
            return add_first_user(config.users, self._state_dir)
        if self._has_configured_users:
            # A file is empty for a moment while it is written.
            raise StartupError(
                "the configuration no longer names users, so none of it was applied; "
                "restart the daemon if it should have a first user instead"
            )
        return (read_first_user(self._state_dir).user,)

    def confirm(self, config: Config) -> None:
        """Note that a configuration is applied."""
        self._has_configured_users = bool(config.users)

    async def watch(
        self, read_config: Callable[[], LoadedConfig], apply: Callable[[tuple[UserConfig, ...]], None]
    ) -> None:
        """Apply changes of the files of the users, until it is cancelled."""
        while True:
            await asyncio.sleep(USER_POLL_SECONDS)
            found = await asyncio.to_thread(stat_user_files, self._state_dir)
            if found == self._applied:
                continue
            self._applied = found
            try:
                config = (await asyncio.to_thread(read_config)).config
                users = await asyncio.to_thread(self.find, config)
            except StartupError as error:
                self._log.error("users_not_changed", mistakes=error.message.splitlines())
                continue
            self.confirm(config)
            apply(users)
            self._log.info("users_changed", users=len(users))
