import hashlib
import multiprocessing
import os
import re
import stat
import subprocess
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from downloadd.accounts.first_user import FirstUser, describe_first_user, ensure_first_user, read_first_user
from downloadd.config import ALL_PERMISSIONS
from downloadd.errors import StartupError


def test_the_first_start_creates_a_user_with_every_permission_and_a_private_token(tmp_path: Path) -> None:
    first = ensure_first_user(tmp_path / "a" / "state")
    assert first.created
    assert first.file == tmp_path / "a" / "state" / "token"
    assert first.file.read_text() == f"{first.token}\n"
    assert stat.S_IMODE(first.file.stat().st_mode) == 0o600
    assert stat.S_IMODE(first.file.parent.stat().st_mode) == 0o700
    assert os.listdir(first.file.parent) == ["token"]
    assert len(first.token) == 43
    assert first.user.permissions == ALL_PERMISSIONS
    assert first.user.token_hash == f"sha256:{hashlib.sha256(first.token.encode()).hexdigest()}"
    assert re.fullmatch("[2-9A-HJ-NP-TW-Za-km-z]{17}", first.user.id)


def test_later_starts_find_the_same_user(tmp_path: Path) -> None:
    first, second = ensure_first_user(tmp_path), ensure_first_user(tmp_path)
    assert not second.created
    assert (second.user, second.token) == (first.user, first.token)


def test_reading_returns_the_same_user_and_creates_none(tmp_path: Path) -> None:
    with pytest.raises(StartupError, match=r"the token file .* cannot be used: No such file"):
        read_first_user(tmp_path)
    assert os.listdir(tmp_path) == []
    first = ensure_first_user(tmp_path)
    second = read_first_user(tmp_path)
    assert (second.user, second.token, second.created) == (first.user, first.token, False)


def test_every_state_directory_gets_a_token_of_its_own(tmp_path: Path) -> None:
    first, second = ensure_first_user(tmp_path / "a"), ensure_first_user(tmp_path / "b")
    assert first.token != second.token
    assert first.user.id != second.user.id


def test_daemons_that_start_at_once_share_one_token(tmp_path: Path) -> None:
    with ProcessPoolExecutor(4, multiprocessing.get_context("spawn")) as pool:
        found = list(pool.map(ensure_first_user, [tmp_path / "state"] * 16))
    assert len({each.token for each in found}) == 1
    assert sum(each.created for each in found) == 1
    assert os.listdir(tmp_path / "state") == ["token"]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param(b"", "is empty; remove it to get a new token", id="empty"),
        pytest.param(b"\n", "is empty", id="line feed only"),
        pytest.param(b"short\n", "does not hold a token", id="short"),
        pytest.param(b"x" * 40 + b"\nmore\n", "does not hold a token", id="two lines"),
        pytest.param(b"x" * 40 + b" \n", "does not hold a token", id="space"),
        pytest.param(b"\xff" * 40, "does not hold a token", id="not ASCII"),
        pytest.param(b"x" * 5000, "does not hold a token", id="huge"),
    ],
)
def test_a_malformed_token_file_is_refused(tmp_path: Path, content: bytes, expected: str) -> None:
    file = tmp_path / "token"
    file.touch(0o600)
    file.write_bytes(content)
    with pytest.raises(StartupError, match=expected) as caught:
        ensure_first_user(tmp_path)
    assert caught.value.exit_status == 1
    assert file.read_bytes() == content


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o666])
def test_a_token_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    ensure_first_user(tmp_path)
    (tmp_path / "token").chmod(mode)
    with pytest.raises(StartupError, match=f"mode {mode:04o}.*chmod 600"):
        ensure_first_user(tmp_path)


def test_a_token_that_a_person_chose_is_accepted(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.touch(0o600)
    file.write_text("my-own.token~of/good+length_0123456789==\n")
    first = ensure_first_user(tmp_path)
    assert (first.token, first.created) == ("my-own.token~of/good+length_0123456789==", False)


def test_a_token_file_that_is_not_a_regular_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "token", 0o600)
    with pytest.raises(StartupError, match="is not a regular file"):
        ensure_first_user(tmp_path)


def test_a_state_directory_that_cannot_be_created_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StartupError, match="cannot be used: Not a directory"):
        ensure_first_user(tmp_path / "file" / "state")


def described(tmp_path: Path, *, enabled: bool = True) -> tuple[FirstUser, str]:
    first = ensure_first_user(tmp_path / "it's state")
    return first, describe_first_user(first, url="http://127.0.0.1:4711", root="/srv/files", enabled=enabled)


def test_the_description_has_everything_that_curl_needs(tmp_path: Path) -> None:
    first, text = described(tmp_path)
    assert first.user.id in text
    assert f"token     {first.token}\n" in text
    assert str(first.file) in text
    assert "'http://127.0.0.1:4711/Downloads?download=" in text
    assert "Files are stored below /srv/files" in text.splitlines()
    assert f"\n  http://127.0.0.1:4711/#token={first.token}\n" in text
    assert "--allow-download" not in text


def test_a_description_for_other_readers_has_no_token(tmp_path: Path) -> None:
    first = ensure_first_user(tmp_path)
    text = describe_first_user(first, url="http://127.0.0.1:4711", root="/srv/files", enabled=True, show_token=False)
    assert first.token not in text
    assert str(first.file) in text


def test_the_description_says_when_downloads_are_not_allowed(tmp_path: Path) -> None:
    assert "start the daemon with --allow-download" in described(tmp_path, enabled=False)[1]


def test_the_printed_commands_send_the_token(tmp_path: Path) -> None:
    first, text = described(tmp_path)
    commands = [line.strip() for line in text.splitlines() if line.strip().startswith("curl")]
    shown = [
        subprocess.run(
            ["sh", "-c", 'curl() { printf "%s\\n" "$@"; }; ' + command], stdout=subprocess.PIPE, text=True, check=True
        ).stdout.splitlines()
        for command in commands
    ]
    assert shown[0][:2] == ["-H", f"Authorization: Bearer {first.token}"]
    assert shown[1][:4] == ["-H", f"X-User-Id: {first.user.id}", "-H", f"X-Auth-Token: {first.token}"]


def test_the_token_is_not_in_the_representation_of_the_struct(tmp_path: Path) -> None:
    first = ensure_first_user(tmp_path)
    assert first.token not in repr(first) + str(first.__rich_repr__())
