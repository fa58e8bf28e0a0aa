"""Rights of users in imports, as the configuration has them at the moment.

Pure: no I/O and no clock.
"""

from collections.abc import Callable

from downloadd.errors import DownloadForbiddenError
from downloadd.users import Permission, PermissionMissingError, User


class ImportRights:
    """Checks of what a user may do; each raises if the user may not."""

    def __init__(
        self, *, directory: str, is_enabled: Callable[[], bool], can_use_directory: Callable[[str, str], bool]
    ) -> None:
        """Take the rules.

        Args:
            directory: of all imports, below the storage root.
            is_enabled: returns True if the daemon may download.
            can_use_directory: returns True if the user with this id may write to this directory.
        """
        self._directory = directory
        self._is_enabled = is_enabled
        self._can_use_directory = can_use_directory

    def require_import(self, user: User) -> None:
        """Check the permission to run imports.

        Raises:
            PermissionMissingError: the user lacks it.
        """
        user.require_permission(Permission.RUN_IMPORT)

    def require_view(self, user: User) -> None:
        """Check the permission to view the import operations of all users.

        Raises:
            PermissionMissingError: the user lacks it.
        """
        user.require_permission(Permission.VIEW_IMPORT_OPERATIONS)

    def require_directory(self, user: User) -> None:
        """Check the permission to run imports, and the right to write to their directory.

        Raises:
            PermissionMissingError: the user lacks one of them.
        """
        self.require_import(user)
        if not self._can_use_directory(user.id, self._directory):
            raise PermissionMissingError(self._directory)

    def require_download(self, user: User) -> None:
        """Check everything that a download into the directory of imports needs.

        Raises:
            PermissionMissingError: the user lacks the permission or the directory.
            DownloadForbiddenError: the daemon may not download.
        """
        self.require_directory(user)
        if not self._is_enabled():
            raise DownloadForbiddenError
