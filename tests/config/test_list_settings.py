"""Settings of the tables that may occur several times."""

from pathlib import Path

from support.config_files import load, user

from downloadd.config import ALL_PERMISSIONS, HOOK_EVENTS, CredentialConfig
from downloadd.states import FINISHED
from downloadd.users import Permission


def test_permissions_and_events_are_those_of_users_and_states() -> None:
    assert set(ALL_PERMISSIONS) == set(Permission)
    assert set(HOOK_EVENTS) == set(FINISHED)


def test_a_user_without_permissions_is_no_administrator(tmp_path: Path) -> None:
    [loaded] = load(tmp_path, user()).users
    assert set(Permission) - set(loaded.permissions) == {Permission.MANAGE_USERS}


def test_a_credential_is_printed_without_its_secrets() -> None:
    assert repr(CredentialConfig(host="a", user="u", password="secret")) == "CredentialConfig(host='a', ...)"
