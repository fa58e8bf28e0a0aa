"""Owners by name and number, on the accounts of this machine."""

import grp
import os
import pwd

import pytest

from downloadd.storage import owners
from downloadd.storage.owners import resolve_owner

OWN = pwd.getpwuid(os.geteuid())


@pytest.fixture
def may_chown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(owners, "_capabilities", lambda: 1)


@pytest.fixture
def may_not_chown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(owners, "_capabilities", lambda: ~1)


@pytest.mark.usefixtures("may_chown")
@pytest.mark.parametrize(
    ("text", "owner"),
    [
        pytest.param(OWN.pw_name, f"{OWN.pw_uid}:{OWN.pw_gid}", id="user by name"),
        pytest.param(str(OWN.pw_uid), f"{OWN.pw_uid}:{OWN.pw_gid}", id="user by number"),
        pytest.param("3999999999", "3999999999:-1", id="number without a name"),
        pytest.param(f"{OWN.pw_name}:12345", f"{OWN.pw_uid}:12345", id="group by number"),
        pytest.param(f"{OWN.pw_name}:{grp.getgrgid(0).gr_name}", f"{OWN.pw_uid}:0", id="group by name"),
    ],
)
def test_users_and_groups_become_numbers(text: str, owner: str) -> None:
    assert resolve_owner(text) == owner


@pytest.mark.usefixtures("may_chown")
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("no-such-user", "there is no user 'no-such-user'"),
        ("0:no-such-group", "there is no group 'no-such-group'"),
        (str(2**32 - 1), "the number is too high"),
        ("0:99999999999", "the number is too high"),
        ("", "there is no user ''"),
    ],
)
def test_an_unknown_owner_is_an_error_that_names_it(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        resolve_owner(text)


@pytest.mark.usefixtures("may_not_chown")
def test_without_the_capability_only_the_own_user_is_an_owner() -> None:
    assert resolve_owner(f"{os.geteuid()}:{os.getegid()}") == f"{os.geteuid()}:{os.getegid()}"
    with pytest.raises(ValueError, match="only by root or with CAP_CHOWN"):
        resolve_owner("3999999999")
