"""Address and token of the daemon."""

from pathlib import Path
from typing import Any

import click
import pytest

from downloadd.accounts.first_user import TOKEN_FILE_NAME
from downloadd.cli.daemon_location import DEFAULT_URL, DaemonLocation, locate_daemon
from downloadd.daemon.address_file import ADDRESS_FILE_NAME


def locate(**given: Any) -> DaemonLocation:
    options: dict[str, Any] = dict.fromkeys(("url", "token", "token_file", "ca_file", "state_dir"))
    return locate_daemon(**{**options, "environment": {}, **given})


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    (tmp_path / TOKEN_FILE_NAME).write_text("stored\n")
    return tmp_path


def test_the_token_of_the_state_directory_is_for_its_own_address(state_dir: Path) -> None:
    assert locate(state_dir=state_dir).token == "stored"
    assert locate(state_dir=state_dir, url=f"{DEFAULT_URL}/").token == "stored"
    assert locate(state_dir=state_dir, url="http://other.example").token is None


def test_the_address_is_given_or_that_of_a_running_daemon_or_the_default(state_dir: Path) -> None:
    assert locate(state_dir=state_dir).url == DEFAULT_URL
    (state_dir / ADDRESS_FILE_NAME).write_text("http://127.0.0.1:1234/fetch\n")
    assert locate(state_dir=state_dir).url == "http://127.0.0.1:1234/fetch"
    assert locate(state_dir=state_dir, url="http://other.example").url == "http://other.example"


def test_a_given_token_wins(state_dir: Path) -> None:
    assert locate(state_dir=state_dir, token="given").token == "given"
    file = state_dir / "file"
    file.write_text(" of-a-file \n")
    assert locate(state_dir=state_dir, token_file=file).token == "of-a-file"


def test_two_tokens_and_an_unreadable_file_are_refused(state_dir: Path) -> None:
    with pytest.raises(click.UsageError, match="exclude each other"):
        locate(token="a", token_file=state_dir / TOKEN_FILE_NAME)
    with pytest.raises(click.UsageError, match="cannot read a token"):
        locate(token_file=state_dir / "missing")


def test_a_location_does_not_show_its_token(state_dir: Path) -> None:
    assert "stored" not in repr(locate(state_dir=state_dir))


def test_an_invalid_address_is_a_usage_error() -> None:
    with pytest.raises(click.UsageError, match="must begin with"):
        locate(url="ftp://a").client()
