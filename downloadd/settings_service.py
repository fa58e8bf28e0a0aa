"""The settings that users may change while the daemon runs.

Every interface for users goes through this service; it checks what a user may do, and nothing is checked elsewhere.
"""

import structlog
from msgspec.structs import asdict

from downloadd.errors import InvalidParameterError
from downloadd.events import EventBus, SettingsChanged
from downloadd.manager.hourly_limits import HourlyLimits
from downloadd.manager.run_limits import RunLimits
from downloadd.manager.shared_limits import SharedLimits, shared_changes
from downloadd.rights import Action, Rights
from downloadd.runtime_settings import CurrentSettings, SettingsChange, change_settings
from downloadd.users import User

log = structlog.get_logger()


class SettingsService:
    """The limits on all downloads, as users read and change them."""

    def __init__(
        self,
        limits: RunLimits,
        *,
        hours: HourlyLimits,
        rights: Rights,
        bus: EventBus,
        shared: SharedLimits | None = None,
    ) -> None:
        """Make the service.

        Args:
            limits: the limits of the manager.
            hours: the limits of hours of the week.
            rights: the checks of what a user may do.
            bus: gets an event of each change.
            shared: the limits over all nodes; None for a daemon alone.
        """
        self._limits = limits
        self._hours = hours
        self._rights = rights
        self._bus = bus
        self._shared = shared

    @property
    def is_shared(self) -> bool:
        """Return True if other nodes have the same limits."""
        return self._shared is not None

    def get(self, user: User) -> CurrentSettings:
        """Return the settings that hold now.

        Raises:
            PermissionMissingError: the user does not have the permission.
        """
        self._rights.require(user, Action.VIEW)
        return self._hours.settings

    async def change(self, user: User, change: SettingsChange) -> CurrentSettings:
        """Change settings at once, until a restart or a reload, or other hours that limit them; return all of them.

        Limits over all nodes hold on the others with their next heartbeat.

        Raises:
            PermissionMissingError: the user does not have the permission.
            InvalidParameterError: a value is out of range; nothing is changed.
            StoreUnavailableError: the limits of all nodes cannot be changed at the moment; nothing is changed.
        """
        self._rights.require(user, Action.CHANGE_SETTINGS)
        before = self._limits.settings
        after = change_settings(before, change)
        max_runs = self._hours.max_runs
        if max_runs is not None and after.max_concurrent > max(max_runs, before.max_concurrent):
            raise InvalidParameterError(
                "max_concurrent",
                f"must be at most {max_runs}, because the process may not open more files; raise the limit of "
                "open files (LimitNOFILE of the service, or ulimit -n) and restart the daemon",
            )
        if after != before:
            if self._shared is not None and (limits := shared_changes(before, after)):
                await self._shared.change(limits)
                # Others may have been changed meanwhile.
                after = change_settings(self._limits.settings, change)
            self._limits.change(after)
            log.info("settings_changed", user=user.id, **asdict(after))
            self._bus.publish(SettingsChanged(settings=self._hours.settings))
        return self._hours.settings
