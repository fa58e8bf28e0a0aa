"""Rights of users in imports."""

from collections.abc import Callable

import pytest

from downloadd.errors import DownloadForbiddenError
from downloadd.imports.rights import ImportRights
from downloadd.users import Permission, PermissionMissingError, User


def user(*permissions: Permission) -> User:
    return User(id="ann", permissions=frozenset(permissions))


def rights(*, enabled: bool = True, allowed: bool = True) -> ImportRights:
    return ImportRights(
        directory="Imports",
        is_enabled=lambda: enabled,
        can_use_directory=lambda id, directory: allowed and (id, directory) == ("ann", "Imports"),
    )


IMPORTER = user(Permission.RUN_IMPORT)


def test_a_user_with_every_right_passes_every_check() -> None:
    checks = rights()
    checks.require_import(IMPORTER)
    checks.require_directory(IMPORTER)
    checks.require_download(IMPORTER)
    checks.require_view(user(Permission.VIEW_IMPORT_OPERATIONS))


@pytest.mark.parametrize(
    "check", [ImportRights.require_import, ImportRights.require_directory, ImportRights.require_download]
)
def test_imports_need_their_permission(check: Callable[[ImportRights, User], None]) -> None:
    with pytest.raises(PermissionMissingError):
        check(rights(), user(Permission.DOWNLOAD, Permission.VIEW_IMPORT_OPERATIONS))


def test_the_listing_needs_its_own_permission() -> None:
    with pytest.raises(PermissionMissingError):
        rights().require_view(IMPORTER)


@pytest.mark.parametrize("check", [ImportRights.require_directory, ImportRights.require_download])
def test_downloads_need_the_directory(check: Callable[[ImportRights, User], None]) -> None:
    with pytest.raises(PermissionMissingError):
        check(rights(allowed=False), IMPORTER)
    rights(allowed=False).require_import(IMPORTER)


def test_the_missing_directory_is_reported_before_the_disabled_daemon() -> None:
    with pytest.raises(PermissionMissingError):
        rights(allowed=False, enabled=False).require_download(IMPORTER)
    with pytest.raises(DownloadForbiddenError):
        rights(enabled=False).require_download(IMPORTER)
    rights(enabled=False).require_directory(IMPORTER)
