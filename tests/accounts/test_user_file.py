"""File of the users in the state directory."""

from pathlib import Path

import pytest
from support.config_files import OTHER_HASH, TOKEN_HASH, load, user

from downloadd.accounts.user_file import read_users, stat_file, write_users
from downloadd.config import USER_FILE_NAME, UserConfig
from downloadd.errors import StartupError

ALICE = UserConfig(id='a"lice', token_hash=TOKEN_HASH, permissions=("download",))


def test_users_are_read_as_they_were_written_in_a_private_file(tmp_path: Path) -> None:
    file = tmp_path / USER_FILE_NAME
    assert (read_users(tmp_path), stat_file(file)) == ((), None)
    write_users(tmp_path, [ALICE])
    assert read_users(tmp_path) == (ALICE,)
    assert (tmp_path / USER_FILE_NAME).stat().st_mode & 0o777 == 0o600
    assert [each.name for each in tmp_path.iterdir()] == [USER_FILE_NAME]
    before = stat_file(file)
    write_users(tmp_path, [])
    assert stat_file(file) != before


def test_the_file_has_the_checks_of_the_configuration(tmp_path: Path) -> None:
    file = tmp_path / USER_FILE_NAME
    for text, problem in (
        ("[server]\nport = 1\n", "server: only"),
        (user("a") + user("a", OTHER_HASH), r"users\[1\].id: \"a\" is taken already"),
        (user("a", rest='permissions = ["fly"]'), "permissions: "),
    ):
        file.write_text(text)
        with pytest.raises(StartupError, match=problem):
            read_users(tmp_path)


def test_a_mistake_in_it_is_none_of_the_configuration(tmp_path: Path) -> None:
    write_users(tmp_path, [ALICE])
    assert load(tmp_path, f'[server]\nstate_dir = "{tmp_path}"\n').users == ()


@pytest.mark.parametrize("text", ["users", "users = 1", "[[users]]\nid = 1"])
def test_a_malformed_file_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / USER_FILE_NAME).write_text(text)
    with pytest.raises(StartupError, match=USER_FILE_NAME):
        read_users(tmp_path)


def test_a_directory_that_is_missing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StartupError, match="cannot be written"):
        write_users(tmp_path / "none", [])
