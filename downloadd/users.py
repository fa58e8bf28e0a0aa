"""Users and their permissions.

Pure: no I/O and no clock.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

import msgspec


class Permission(StrEnum):
    """A permission that a user may have."""

    DOWNLOAD = "download"
    VIEW_DOWNLOADS = "view-downloads"
    READ_FILES = "read-files"
    RUN_IMPORT = "run-import"
    VIEW_IMPORT_OPERATIONS = "view-import-operations"
    MANAGE_USERS = "manage-users"


DEFAULT_PERMISSIONS: Final = (Permission.DOWNLOAD, Permission.VIEW_DOWNLOADS)
"""Permissions of a user who is made by a command or the API without others."""
IMPLIED_BY: Final[Mapping[Permission, Permission]] = {Permission.VIEW_DOWNLOADS: Permission.DOWNLOAD}
"""Permissions that come with another one."""


class PermissionMissingError(Exception):
    """The user does not have the permissions required for an action."""


class User(msgspec.Struct, frozen=True, kw_only=True):
    """An authenticated user."""

    id: str
    permissions: frozenset[str]

    def has_permission(self, permission: Permission) -> bool:
        """Return True if the user has `permission`, granted or implied by another one."""
        return permission in self.permissions or IMPLIED_BY.get(permission) in self.permissions

    def require_permission(self, permission: Permission) -> None:
        """Return if the user has `permission`.

        Raises:
            PermissionMissingError: the user does not have it.
        """
        if not self.has_permission(permission):
            raise PermissionMissingError(permission)
