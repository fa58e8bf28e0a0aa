"""`new-token` and `completion`, in this process."""

import hashlib
import json
import tomllib

import pytest
from click.testing import CliRunner, Result

from downloadd.cli.local import SHELLS
from downloadd.cli.main import downloadctl
from downloadd.cli.terminal import Terminal
from downloadd.clock import SystemClock


def run(*arguments: str) -> Result:
    return CliRunner().invoke(downloadctl, arguments, obj=Terminal({}, SystemClock()))


def test_a_token_is_shown_with_the_table_for_the_configuration() -> None:
    output = run("new-token", "--id", 'al"ice').output
    token = output.splitlines()[0].removeprefix("token  ")
    [user] = tomllib.loads(output[output.index("[[users]]") :])["users"]
    assert user["id"] == 'al"ice'
    assert user["token_hash"] == f"sha256:{hashlib.sha256(token.encode()).hexdigest()}"


def test_each_token_is_another_one() -> None:
    first, second = (json.loads(run("new-token", "--json").output)["token"] for _ in range(2))
    assert first != second


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_of_a_shell_calls_the_command(shell: str) -> None:
    output = run("completion", shell).output
    assert "downloadctl" in output
    assert "_DOWNLOADCTL_COMPLETE" in output
