"""Rights of users: permissions, directory rights, and the permission of the daemon to fetch.

Pure: no I/O and no clock.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from downloadd.errors import DownloadForbiddenError
from downloadd.policy.directories import DirectoryRules
from downloadd.users import Permission, PermissionMissingError, User


class Action(StrEnum):
    """An action of a user."""

    START = "start"
    PROBE = "probe"
    """Ask an origin about a URL without a download."""
    CANCEL = "cancel"
    PAUSE = "pause"
    RESUME = "resume"
    RETRY = "retry"
    AMEND = "amend"
    MOVE = "move"
    """Move a download in the waiting list."""
    REMOVE = "remove"
    """Remove entries of the history."""
    CLEAR = "clear"
    """Remove ended downloads from the list of results; the history keeps them."""
    VIEW = "view"
    """Read downloads, the history or events."""
    READ_FILE = "read-file"
    """Read the content of finished files, or the names of the files of a directory."""
    ACCEPT_STORAGE = "accept-storage"
    """Confirm that the storage root is another one."""
    CHANGE_SETTINGS = "change-settings"
    """Change the limits on all downloads."""
    LIST_DIRECTORIES = "list-directories"
    READ_METRICS = "read-metrics"
    IMPORT = "import"
    """Upload an import file, select from it, or cancel the import."""
    FETCH_IMPORT = "fetch-import"
    """Download an import file, or the files that it names."""
    VIEW_IMPORTS = "view-imports"
    """Read the import operations of all users."""
    MANAGE_USERS = "manage-users"
    """List, create and revoke users, also with permissions that the user does not have."""


REQUIRED_PERMISSIONS: Final[Mapping[Action, Permission]] = {
    Action.START: Permission.DOWNLOAD,
    Action.PROBE: Permission.DOWNLOAD,
    Action.CANCEL: Permission.DOWNLOAD,
    Action.PAUSE: Permission.DOWNLOAD,
    Action.RESUME: Permission.DOWNLOAD,
    Action.RETRY: Permission.DOWNLOAD,
    Action.AMEND: Permission.DOWNLOAD,
    Action.MOVE: Permission.DOWNLOAD,
    Action.REMOVE: Permission.DOWNLOAD,
    Action.CLEAR: Permission.DOWNLOAD,
    Action.VIEW: Permission.VIEW_DOWNLOADS,
    Action.READ_FILE: Permission.READ_FILES,
    Action.ACCEPT_STORAGE: Permission.DOWNLOAD,
    Action.CHANGE_SETTINGS: Permission.DOWNLOAD,
    Action.LIST_DIRECTORIES: Permission.VIEW_DOWNLOADS,
    Action.READ_METRICS: Permission.VIEW_DOWNLOADS,
    Action.IMPORT: Permission.RUN_IMPORT,
    Action.FETCH_IMPORT: Permission.RUN_IMPORT,
    Action.VIEW_IMPORTS: Permission.VIEW_IMPORT_OPERATIONS,
    Action.MANAGE_USERS: Permission.MANAGE_USERS,
}
"""The permission that each action requires."""

FETCHING_ACTIONS: Final = frozenset({Action.START, Action.PROBE, Action.RESUME, Action.RETRY, Action.FETCH_IMPORT})
"""Actions that make the daemon fetch; they are refused unless it was started with `--allow-download`."""


class Rights:
    """Checks of what a user may do."""

    def __init__(self, *, directories: DirectoryRules, is_enabled: bool) -> None:
        """Take the rules; see `configure`."""
        self.configure(directories=directories, is_enabled=is_enabled)

    def configure(self, *, directories: DirectoryRules, is_enabled: bool) -> None:
        """Set the rules.

        Args:
            directories: the settings of directories, with the users that may use them.
            is_enabled: True if the daemon may fetch.
        """
        self._directories = directories
        self._is_enabled = is_enabled

    def require(self, user: User, action: Action, *, directory: str | None = None) -> None:
        """Return if the user may perform an action, in `directory` if it concerns one.

        Raises:
            PermissionMissingError: the user does not have the permission, or may not use the directory.
            DownloadForbiddenError: the action fetches, and the daemon may not.
        """
        user.require_permission(REQUIRED_PERMISSIONS[action])
        if action in FETCHING_ACTIONS:
            self.require_enabled()
        if directory is not None and not self.can_use_directory(user, directory):
            raise PermissionMissingError(directory)

    def require_enabled(self) -> None:
        """Return if the daemon may fetch.

        Raises:
            DownloadForbiddenError: it was not started with `--allow-download`.
        """
        if not self._is_enabled:
            raise DownloadForbiddenError

    def can_use_directory(self, user: User, directory: str) -> bool:
        """Return True if the user may start and change downloads in a directory."""
        return self._directories.allows_user(user.id, directory)
