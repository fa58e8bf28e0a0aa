"""Logins of netrc files."""

import os
from pathlib import Path

import pytest

from downloadd.config import Config, CredentialConfig, DownloadsConfig
from downloadd.errors import StartupError
from downloadd.origin.netrc_logins import add_logins, load_credentials, read_netrc
from downloadd.request_fields import Credentials

SECRET = "hush4711"


def write(folder: Path, text: str | bytes, mode: int = 0o600) -> str:
    file = folder / "netrc"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    file.chmod(mode)
    return str(file)


def test_hosts_get_their_logins(tmp_path: Path) -> None:
    file = write(
        tmp_path,
        "# comment\nmachine Files.Example.com. login ann password p#1\nmachine b.example\n\tlogin bob\n\taccount x\n"
        'machine ::1 login "c d" password "e f"\nmachine nothing.example\nmacdef init\ncd /\n\n',
    )
    assert read_netrc(file) == {
        "files.example.com": Credentials(user="ann", password="p#1"),
        "b.example": Credentials(user="bob"),
        "::1": Credentials(user="c d", password="e f"),
    }


@pytest.mark.parametrize("mode", [0o400, 0o600, 0o700])
def test_a_private_file_is_read(tmp_path: Path, mode: int) -> None:
    assert read_netrc(write(tmp_path, "machine a.example login u password p\n", mode)) != {}


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601])
def test_a_file_that_others_may_use_is_refused(tmp_path: Path, mode: int) -> None:
    with pytest.raises(ValueError, match="others than its owner may read it; use `chmod 600`"):
        read_netrc(write(tmp_path, "machine a.example login u password p\n", mode))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (f"machine a.example login u {SECRET}\n", "line 2 is not in the format of netrc"),
        (f"{SECRET}\n", "is not in the format of netrc"),
        (f"default login u password {SECRET}\n", "its default entry would send a password to every host"),
        (f"machine https://a/ login u password {SECRET}\n", "machine 'https://a/' is not a host"),
        (f"machine a login u:v password {SECRET}\n", "machine a: its login may not hold a colon"),
        (f"machine a login u password {SECRET}\x01\n", "machine a: its password may not hold control characters"),
        (f"machine a login u password {SECRET}\n".encode("utf-16"), "is not"),
        (b"machine a login u password \xff\n", "is not"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_without_its_secrets(
    tmp_path: Path, text: str | bytes, problem: str
) -> None:
    with pytest.raises(ValueError, match="netrc: ") as caught:
        read_netrc(write(tmp_path, text))
    assert problem in str(caught.value)
    assert SECRET not in str(caught.value)


def test_a_missing_file_and_a_directory_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot be read: No such file or directory"):
        read_netrc(str(tmp_path / "missing"))
    os.chmod(tmp_path, 0o700)
    with pytest.raises(ValueError, match="not a file"):
        read_netrc(str(tmp_path))


def test_configured_credentials_have_precedence() -> None:
    configured = (
        CredentialConfig(host="a.example", user="conf", password="c"),
        CredentialConfig(host="b.example", headers={"authorization": "Bearer t"}),
        CredentialConfig(host="c.example", headers={"X-Key": "k"}, cookies={"a": "1"}),
    )
    logins = {f"{name}.example": Credentials(user="net", password="rc") for name in "abcd"}
    assert add_logins(configured, logins) == (
        *configured[:2],
        CredentialConfig(host="c.example", headers={"X-Key": "k"}, cookies={"a": "1"}, user="net", password="rc"),
        CredentialConfig(host="d.example", user="net", password="rc"),
    )


def test_the_file_of_the_configuration_is_read(tmp_path: Path) -> None:
    credentials = (CredentialConfig(host="a.example", user="conf"),)
    assert load_credentials(Config(credentials=credentials)) == credentials
    file = write(tmp_path, "machine b.example login u password p\n")
    config = Config(credentials=credentials, downloads=DownloadsConfig(netrc=file))
    assert [each.host for each in load_credentials(config)] == ["a.example", "b.example"]
    os.chmod(file, 0o644)
    with pytest.raises(StartupError, match=r"^downloads\.netrc: .*chmod 600"):
        load_credentials(config)
