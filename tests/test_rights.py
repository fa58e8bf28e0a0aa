"""Rights of users: permissions, directories and the launch flag."""

import pytest

from downloadd.config import DirectoryConfig
from downloadd.errors import DownloadForbiddenError
from downloadd.policy.directories import DirectoryRules
from downloadd.rights import FETCHING_ACTIONS, REQUIRED_PERMISSIONS, Action, Rights
from downloadd.users import Permission, PermissionMissingError, User

DIRECTORIES = DirectoryRules([DirectoryConfig(path="bobs", users=("bob",))])


def user_with(*permissions: Permission, id: str = "ann") -> User:
    return User(id=id, permissions=frozenset(permissions))


ANN = user_with(*Permission)
BOB = user_with(*Permission, id="bob")


@pytest.fixture
def rights() -> Rights:
    return Rights(directories=DIRECTORIES, is_enabled=True)


def test_every_action_requires_a_permission() -> None:
    assert set(REQUIRED_PERMISSIONS) == set(Action)


@pytest.mark.parametrize("action", list(Action))
def test_an_action_needs_its_permission(rights: Rights, action: Action) -> None:
    needed = REQUIRED_PERMISSIONS[action]
    rights.require(user_with(needed), action)
    # The permission to download includes that to view.
    implied = {Permission.DOWNLOAD} if needed is Permission.VIEW_DOWNLOADS else set()
    with pytest.raises(PermissionMissingError):
        rights.require(user_with(*(set(Permission) - {needed} - implied)), action)


@pytest.mark.parametrize("action", list(Action))
def test_actions_that_fetch_are_refused_where_nothing_may_be_fetched(rights: Rights, action: Action) -> None:
    rights.configure(directories=DIRECTORIES, is_enabled=False)
    if action in FETCHING_ACTIONS:
        with pytest.raises(DownloadForbiddenError):
            rights.require(ANN, action)
    else:
        rights.require(ANN, action)


def test_a_missing_permission_is_reported_before_the_launch_flag(rights: Rights) -> None:
    rights.configure(directories=DIRECTORIES, is_enabled=False)
    with pytest.raises(PermissionMissingError):
        rights.require(user_with(Permission.VIEW_DOWNLOADS), Action.START)


@pytest.mark.parametrize("action", list(Action))
def test_an_action_in_a_directory_needs_the_right_to_use_it(rights: Rights, action: Action) -> None:
    rights.require(ANN, action, directory="d")
    rights.require(BOB, action, directory="bobs/below")
    with pytest.raises(PermissionMissingError):
        rights.require(ANN, action, directory="bobs/below")


def test_a_reload_changes_rights_at_once(rights: Rights) -> None:
    assert not rights.can_use_directory(ANN, "bobs")
    rights.configure(directories=DirectoryRules(), is_enabled=True)
    assert rights.can_use_directory(ANN, "bobs")
