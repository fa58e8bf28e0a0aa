"""Permissions of users."""

import pytest

from downloadd.users import IMPLIED_BY, Permission, PermissionMissingError, User


def user(*permissions: str) -> User:
    return User(id="ann", permissions=frozenset(permissions))


@pytest.mark.parametrize("permission", list(Permission))
def test_a_granted_permission_is_had(permission: Permission) -> None:
    user(permission).require_permission(permission)
    assert user(permission.value).has_permission(permission)


@pytest.mark.parametrize("permission", list(Permission))
def test_a_permission_that_is_not_granted_is_missing(permission: Permission) -> None:
    with pytest.raises(PermissionMissingError):
        user().require_permission(permission)


def test_the_permission_to_download_implies_the_one_to_view_downloads_and_not_the_reverse() -> None:
    assert user("download").has_permission(Permission.VIEW_DOWNLOADS)
    assert not user("view-downloads").has_permission(Permission.DOWNLOAD)
    assert dict(IMPLIED_BY) == {Permission.VIEW_DOWNLOADS: Permission.DOWNLOAD}


def test_a_permission_that_does_not_exist_grants_nothing() -> None:
    assert not any(user("everything").has_permission(permission) for permission in Permission)
