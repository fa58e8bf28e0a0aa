"""`users`, in this process."""

import asyncio
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from docs.pages import blocks, read, section
from structlog.testing import capture_logs
from support.served_api import ADMIN_TOKEN, TOKEN, ServedApi

from downloadd.accounts.first_user import ensure_first_user
from downloadd.accounts.user_file import read_users
from downloadd.cli.errors import CommandError, ExitStatus
from downloadd.cli.main import downloadctl
from downloadd.cli.terminal import Terminal
from downloadd.clock import SystemClock
from downloadd.daemon.address_file import write_address


def run(state: Path, *arguments: str) -> Result:
    given = ("--state-dir", str(state), "users", *arguments)
    return CliRunner().invoke(downloadctl, given, obj=Terminal({}, SystemClock()))


def at_daemon(url: str, token: str, *arguments: str) -> Any:
    """Return what a command of a daemon writes as JSON."""
    given = ("--url", url, "--token", token, "users", *arguments, "--json")
    result = CliRunner().invoke(downloadctl, given, obj=Terminal({}, SystemClock()))
    if result.exception is not None:
        raise result.exception
    return json.loads(result.output)


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
        (("create", "alice"), "there is a user alice already"),
        (("rotate", "bob"), "there is no user bob"),
        (("revoke", "bob"), "there is no user bob"),
    ],
)
def test_what_cannot_be_done_is_refused(tmp_path: Path, arguments: tuple[str, ...], expected: str) -> None:
    run(tmp_path, "create", "alice")
    error = run(tmp_path, *arguments).exception
    assert isinstance(error, CommandError)
    assert expected in error.lines[0]


async def test_with_a_url_the_daemon_there_changes_its_users() -> None:
    served = ServedApi()
    # Its log would be in the output of the commands.
    with capture_logs():
        async with served.client:

            async def call(*arguments: str, token: str = ADMIN_TOKEN) -> Any:
                return await asyncio.to_thread(at_daemon, str(served.server.make_url("/")), token, *arguments)

            made = await call("create", "team/ann", "-p", "read-files")
            assert made == {
                "id": "team/ann",
                "permissions": ["read-files"],
                "kind": "made",
                "token": served.users.users["team/ann"].token,
            }
            assert (await call("rotate", "team/ann"))["token"] != made["token"]
            assert [(one["id"], one["kind"]) for one in (await call("list"))["users"]] == [
                ("ada", "configured"), ("alice", "configured"), ("team/ann", "made"),
            ]  # fmt: skip
            for arguments, words in (
                (("revoke", "ada"), "cannot revoke itself"),
                (("rotate", "alice"), "configuration"),
            ):
                with pytest.raises(CommandError, match=words):
                    await call(*arguments)
            with pytest.raises(CommandError) as refused:
                await call("list", token=TOKEN)
            assert refused.value.status is ExitStatus.DENIED
            assert await call("revoke", "team/ann") == {"id": "team/ann", "success": True}
            assert served.users.users == {}


@pytest.mark.parametrize(
    "arguments", [("list",), ("create", "alice"), ("rotate", "alice"), ("revoke", "alice")], ids=lambda given: given[0]
)
def test_a_node_has_its_users_in_the_database_only(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    (tmp_path / "instance").touch()
    error = run(tmp_path, *arguments).exception
    assert isinstance(error, CommandError)
    assert "shared database" in error.lines[0]
    assert "manage-users" in error.lines[1]
    # With a token, its daemon is asked; without an answer, nothing is written that would never hold.
    write_address(tmp_path, "http://127.0.0.1:1")
    given = ("--state-dir", str(tmp_path), "--token", "x", "users", *arguments)
    failed = CliRunner().invoke(downloadctl, given, obj=Terminal({}, SystemClock())).exception
    assert isinstance(failed, CommandError)
    assert failed.status is ExitStatus.UNREACHABLE
    assert not (tmp_path / "users.toml").exists()


def test_an_id_with_a_space_is_refused(tmp_path: Path) -> None:
    assert run(tmp_path, "create", "a b").exit_code == 2


def test_a_file_that_cannot_be_used_is_an_error_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "users.toml").write_text("users = 1")
    error = run(tmp_path, "list").exception
    assert isinstance(error, CommandError)
    assert "expected a list of tables" in error.lines[0]
    assert "sudo -u downloadd" in error.lines[1]


def test_the_commands_of_the_page_about_users_run(tmp_path: Path) -> None:
    [block] = blocks(section(read("docs/how-to/users.md"), "On the machine of the daemon"), "sh")
    for line in block.splitlines():
        program, command, *arguments = line.split()
        assert (program, command) == ("downloadctl", "users")
        assert run(tmp_path, *arguments).exit_code == 0
    assert listed(tmp_path) == []
