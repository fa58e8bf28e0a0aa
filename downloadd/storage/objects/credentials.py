"""Sources of the credentials for object storage: a shared credentials file of AWS, and the environment."""

import configparser
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from downloadd.config import RemoteStorageConfig
from downloadd.storage.objects.signature import ObjectCredentials

MAX_FILE_BYTES: Final = 1 << 20
_KEYS: Final = ("access_key_id", "secret_access_key", "session_token")


class CredentialsError(ValueError):
    """Source without usable credentials; the message never holds a secret."""


def read_credentials_file(path: str, profile: str) -> ObjectCredentials:
    """Return the credentials of a profile in a shared credentials file of AWS. Blocks.

    Raises:
        CredentialsError: the file cannot be read, or has no such profile or keys in it.
    """
    try:
        with Path(path).open("rb") as file:
            content = file.read(MAX_FILE_BYTES).decode()
    except OSError as error:
        raise CredentialsError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise CredentialsError(f"{path} is not a text in UTF-8") from None
    parser = configparser.RawConfigParser(strict=False)
    try:
        parser.read_string(content)
    except configparser.Error:
        # The message of the parser repeats the line, which may hold a secret.
        raise CredentialsError(f"{path} is not a credentials file of AWS: expected [{profile}] and keys") from None
    if not parser.has_section(profile):
        raise CredentialsError(f"{path} has no profile [{profile}]")
    found = {name: parser.get(profile, f"aws_{name}", fallback="").strip() for name in _KEYS}
    return _make(found, f"[{profile}] in {path}", "aws_")


def choose_credentials(config: RemoteStorageConfig, environment: Mapping[str, str]) -> ObjectCredentials:
    """Return the credentials of a storage: of its table, of the file that it names, or of the environment. Blocks.

    Raises:
        CredentialsError: there are none.
    """
    if config.access_key_id:
        return ObjectCredentials(
            access_key_id=config.access_key_id,
            secret_access_key=config.secret_access_key,
            session_token=config.session_token,
        )
    if config.credentials_file:
        return read_credentials_file(config.credentials_file, config.profile)
    return read_environment(environment)


def read_environment(environment: Mapping[str, str]) -> ObjectCredentials:
    """Return the credentials in the variables of AWS.

    Raises:
        CredentialsError: the variables are missing.
    """
    found = {name: environment.get(f"AWS_{name.upper()}", "") for name in _KEYS}
    return _make(found, "the environment", "AWS_", is_upper=True)


def _make(found: Mapping[str, str], source: str, prefix: str, *, is_upper: bool = False) -> ObjectCredentials:
    for name in _KEYS[:2]:
        if not found[name]:
            shown = f"{prefix}{name.upper() if is_upper else name}"
            raise CredentialsError(f"{source} has no {shown}")
    return ObjectCredentials(**found)
