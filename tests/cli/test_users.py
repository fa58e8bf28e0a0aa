"""`users`, in this process."""

import hashlib
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from docs.pages import blocks, read, section

from downloadd.cli.errors import CommandError
from downloadd.cli.main import downloadctl
from downloadd.cli.terminal import Terminal
from downloadd.clock import SystemClock
from downloadd.daemon.first_user import ensure_first_user
from downloadd.daemon.user_file import read_users


def run(state: Path, *arguments: str) -> Result:
    given = ("--state-dir", str(state), "users", *arguments)
    return CliRunner().invoke(downloadctl, given, obj=Terminal({}, SystemClock()))


def listed(state: Path) -> list[str]:
    return [user["id"] for user in json.loads(run(state, "list", "--json").output)["users"]]


def test_a_user_is_created_listed_and_revoked_and_its_token_is_shown_once(tmp_path: Path) -> None:
    first = ensure_first_user(tmp_path).user
    created = json.loads(run(tmp_path, "create", "alice", "-p", "view-downloads", "--json").output)
    assert (created["id"], created["permissions"]) == ("alice", ["view-downloads"])
    [user] = read_users(tmp_path)
    assert user.token_hash == f"sha256:{hashlib.sha256(created['token'].encode()).hexdigest()}"
    assert listed(tmp_path) == [first.id, "alice"]
    assert created["token"] not in run(tmp_path, "list").output + (tmp_path / "users.toml").read_text()
    assert run(tmp_path, "revoke", "alice").output == "Removed: alice\n"
    assert listed(tmp_path) == [first.id]


def test_a_rotated_token_is_another_one(tmp_path: Path) -> None:
    before = json.loads(run(tmp_path, "create", "alice", "--json").output)
    after = json.loads(run(tmp_path, "rotate", "alice", "--json").output)
    assert (after["id"], after["permissions"]) == (before["id"], ["download", "view-downloads"])
    assert after["token"] != before["token"]
    first = ensure_first_user(tmp_path)
    rotated = json.loads(run(tmp_path, "rotate", first.user.id, "--json").output)
    assert rotated["token"] == (tmp_path / "token").read_text().strip() != first.token
    assert run(tmp_path, "revoke", rotated["id"]).exit_code == 0
    assert listed(tmp_path) == ["alice"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("create", "alice"), "There is a user alice already"),
        (("rotate", "bob"), "There is no user bob"),
        (("revoke", "bob"), "There is no user bob"),
    ],
)
def test_what_cannot_be_done_is_refused(tmp_path: Path, arguments: tuple[str, ...], expected: str) -> None:
    run(tmp_path, "create", "alice")
    error = run(tmp_path, *arguments).exception
    assert isinstance(error, CommandError)
    assert expected in error.lines[0]


def test_an_id_with_a_space_is_refused(tmp_path: Path) -> None:
    assert run(tmp_path, "create", "a b").exit_code == 2


def test_a_file_that_cannot_be_used_is_an_error_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "users.toml").write_text("users = 1")
    error = run(tmp_path, "list").exception
    assert isinstance(error, CommandError)
    assert "is malformed" in error.lines[0]
    assert "sudo -u downloadd" in error.lines[1]


def test_the_commands_of_the_page_about_users_run(tmp_path: Path) -> None:
    [block] = blocks(section(read("docs/how-to/users.md"), "On the machine of the daemon"), "sh")
    for line in block.splitlines():
        program, command, *arguments = line.split()
        assert (program, command) == ("downloadctl", "users")
        assert run(tmp_path, *arguments).exit_code == 0
    assert listed(tmp_path) == []
