"""Logins of files, tables and variables."""

from pathlib import Path

import asyncssh
import msgspec
import pytest

from downloadd.config import RemoteStorageConfig
from downloadd.storage.sftp.login import SftpLoginError, read_login


def config(folder: Path, **settings: str) -> RemoteStorageConfig:
    known = folder / "known_hosts"
    if not known.exists():
        known.write_text("")
    given = {"path": "d", "url": "sftp://me@127.0.0.1/", "known_hosts_file": str(known), **settings}
    return msgspec.convert(given, RemoteStorageConfig)


def test_a_password_is_that_of_the_table_or_of_the_variable(tmp_path: Path) -> None:
    variables = {"SSHPASS": "b"}
    assert read_login(config(tmp_path, password="a"), variables).password == "a"
    assert read_login(config(tmp_path), variables).password == "b"
    with pytest.raises(SftpLoginError, match="neither private_key_file nor password, nor the variable SSHPASS"):
        read_login(config(tmp_path), {})


def test_a_key_may_have_a_passphrase(tmp_path: Path) -> None:
    file = tmp_path / "key"
    key = asyncssh.generate_private_key("ssh-ed25519")
    file.write_bytes(key.export_private_key(passphrase="open sesame"))
    given = {"private_key_file": str(file)}
    login = read_login(config(tmp_path, **given, passphrase="open sesame"), {})
    assert [each.public_data for each in login.client_keys] == [key.public_data]
    assert login.password is None
    for wrong in ("", "shut sesame"):
        with pytest.raises(SftpLoginError, match="is encrypted, and passphrase does not decrypt it") as caught:
            read_login(config(tmp_path, **given, passphrase=wrong), {})
        assert "sesame" not in str(caught.value)


def test_files_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    (tmp_path / "odd").write_bytes(b"\xff secret")
    with pytest.raises(SftpLoginError, match=r"odd has no private key that can be used") as caught:
        read_login(config(tmp_path, private_key_file=str(tmp_path / "odd")), {})
    assert "secret" not in str(caught.value)
    with pytest.raises(SftpLoginError, match=r"private_key_file .*missing cannot be read: No such file"):
        read_login(config(tmp_path, private_key_file=str(tmp_path / "missing")), {})
    with pytest.raises(SftpLoginError, match=r"known_hosts_file .*missing cannot be read: No such file"):
        read_login(config(tmp_path, password="a", known_hosts_file=str(tmp_path / "missing")), {})
