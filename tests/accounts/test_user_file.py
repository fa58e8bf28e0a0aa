"""File of the users in the state directory."""

from pathlib import Path

import pytest
from support.config_files import OTHER_HASH, TOKEN_HASH, load, load_issues, user

from downloadd.accounts.user_file import read_users, stat_user_files, write_users
from downloadd.config import USER_FILE_NAME, UserConfig
from downloadd.errors import StartupError

ALICE = UserConfig(id='a"lice', token_hash=TOKEN_HASH, permissions=("download",))


def test_users_are_read_as_they_were_written_in_a_private_file(tmp_path: Path) -> None:
    assert read_users(tmp_path) == ()
    before = stat_user_files(tmp_path)
    write_users(tmp_path, [ALICE])
    assert read_users(tmp_path) == (ALICE,)
    assert (tmp_path / USER_FILE_NAME).stat().st_mode & 0o777 == 0o600
    assert [each.name for each in tmp_path.iterdir()] == [USER_FILE_NAME]
    assert stat_user_files(tmp_path) != before


def test_they_are_added_to_those_of_the_configuration(tmp_path: Path) -> None:
    state = f'[server]\nstate_dir = "{tmp_path}"\n'
    write_users(tmp_path, [ALICE])
    assert [each.id for each in load(tmp_path, state + user("b", OTHER_HASH)).users] == ["b", ALICE.id]
    [issue] = load_issues(tmp_path, state + user("b", TOKEN_HASH))
    assert "users.toml: users[0].token_hash: is that of" in issue
    (tmp_path / USER_FILE_NAME).write_text("[server]\nport = 1\n")
    assert load_issues(tmp_path, state) == ["users.toml: server: only [[users]] may be in this file"]


@pytest.mark.parametrize("text", ["users", "users = 1", "[[users]]\nid = 1"])
def test_a_malformed_file_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / USER_FILE_NAME).write_text(text)
    with pytest.raises(StartupError, match="is malformed"):
        read_users(tmp_path)


def test_a_directory_that_is_missing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StartupError, match="cannot be written"):
        write_users(tmp_path / "none", [])
