"""Configuration of open components after a reload."""

from downloadd.accounts.known_users import KnownUsers
from downloadd.config import Config
from downloadd.hooks.hooks import Hooks
from downloadd.manager.history_retention import HistoryRetention
from downloadd.manager.hourly_limits import HourlyLimits
from downloadd.manager.manager import Manager
from downloadd.origin.settings import OriginSettings
from downloadd.policy.directories import DirectoryRules
from downloadd.transfer.session import Session


class Reloader:
    """The open components that a reload changes."""

    def __init__(
        self,
        *,
        users: KnownUsers,
        session: Session,
        manager: Manager,
        hours: HourlyLimits,
        hooks: Hooks,
        retention: HistoryRetention,
    ) -> None:
        """Take the components."""
        self._users = users
        self._session = session
        self._manager = manager
        self._hours = hours
        self._hooks = hooks
        self._retention = retention

    def apply(self, config: Config, *, origins: OriginSettings, directories: DirectoryRules) -> None:
        """Configure all components."""
        self._users.replace_configured(config.users)
        self._session.configure(
            policy=origins.policy,
            credentials=origins.credentials,
            stall_timeout=config.downloads.stall_timeout,
            tls=origins.tls,
            proxies=origins.proxies,
            hosts=origins.hosts,
        )
        self._manager.configure(
            policy=origins.policy,
            proxies=origins.proxies,
            directories=directories,
            config=config.downloads,
            hosts=config.hosts,
        )
        self._hours.configure(config.limits, config.downloads)
        self._hooks.configure(config.hooks)
        self._retention.configure(config.history)
