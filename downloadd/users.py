"""Users and their permissions.

Pure: no I/O and no clock.
"""

from enum import StrEnum

import msgspec


class Permission(StrEnum):
    """A permission that a user may have."""

    DOWNLOAD = "download"
    VIEW_DOWNLOADS = "view-downloads"
    RUN_IMPORT = "run-import"
    VIEW_IMPORT_OPERATIONS = "view-import-operations"


class User(msgspec.Struct, frozen=True, kw_only=True):
    """An authenticated user."""

    id: str
    permissions: frozenset[str]

    def has_permission(self, permission: Permission) -> bool:
        """Return True if the user has `permission`, granted or implied by another one."""
        return permission in self.permissions
