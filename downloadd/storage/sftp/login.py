"""What a connection to an SFTP server needs: the keys of the server that are known, and the credentials of the user."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import asyncssh
import msgspec

from downloadd.config import RemoteStorageConfig

MAX_FILE_BYTES: Final = 4 << 20
PASSWORD_VARIABLE: Final = "SSHPASS"  # noqa: S105 - the name of a variable


class SftpLoginError(ValueError):
    """Files or variables without a usable login; the message never holds a secret."""


class SftpLogin(msgspec.Struct, frozen=True, kw_only=True):
    """Login of one user."""

    known_hosts: asyncssh.SSHKnownHosts
    """Never empty of meaning: a server whose key is not among these is refused."""
    client_keys: tuple[asyncssh.SSHKey, ...]
    password: str | None


def read_login(config: RemoteStorageConfig, environment: Mapping[str, str]) -> SftpLogin:
    """Return the login of a storage: keys of its files, the password of its table or of the environment. Blocks.

    Raises:
        SftpLoginError: a file cannot be read, or there is neither key nor password.
    """
    password = config.password or environment.get(PASSWORD_VARIABLE, "")
    if not password and not config.private_key_file:
        raise SftpLoginError(
            f"there is neither private_key_file nor password, nor the variable {PASSWORD_VARIABLE}; give one of them"
        )
    text = _read(config.known_hosts_file, "known_hosts_file").decode(errors="replace")
    try:
        known_hosts = asyncssh.import_known_hosts(text)
    except ValueError as error:
        raise SftpLoginError(f"{config.known_hosts_file} is not a file of known host keys: {error}") from None
    keys = (_read_key(config),) if config.private_key_file else ()
    return SftpLogin(known_hosts=known_hosts, client_keys=keys, password=password or None)


def _read_key(config: RemoteStorageConfig) -> asyncssh.SSHKey:
    content = _read(config.private_key_file, "private_key_file")
    try:
        return asyncssh.import_private_key(content, config.passphrase)
    except asyncssh.KeyEncryptionError:
        raise SftpLoginError(f"{config.private_key_file} is encrypted, and passphrase does not decrypt it") from None
    except asyncssh.KeyImportError as error:
        # The message of the library has no part of the key.
        raise SftpLoginError(f"{config.private_key_file} has no private key that can be used: {error}") from None


def _read(path: str, setting: str) -> bytes:
    try:
        with Path(path).open("rb") as file:
            return file.read(MAX_FILE_BYTES)
    except OSError as error:
        raise SftpLoginError(f"{setting} {path} cannot be read: {error.strerror}") from None
