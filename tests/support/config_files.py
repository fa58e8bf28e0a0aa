"""Configurations from texts, loaded as the daemon does."""

import hashlib
from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest

from downloadd.config import Config, ConfigError, Flags, LoadedConfig
from downloadd.daemon.configuration import read_config

HOME: Final = {"HOME": "/home/alice"}
TOKEN_HASH: Final = f"sha256:{hashlib.sha256(b'token').hexdigest()}"
OTHER_HASH: Final = f"sha256:{'1' * 64}"
SECRET: Final = "xoxb-very-secret"
SIGNING_KEY: Final = f"whsec_{b64encode(bytes(range(24))).decode()}"
WEBHOOK: Final = f'url = "https://a.example/{SECRET}"\nsecret = "{SIGNING_KEY}"'


def load_text(
    tmp_path: Path, toml: str = "", environment: Mapping[str, str] | None = None, flags: Flags | None = None
) -> LoadedConfig:
    """Return what the daemon loads from a file with this text, from variables and flags."""
    file = tmp_path / "config.toml"
    file.write_text(toml)
    return read_config(file=file, environment={**HOME, **(environment or {})}, flags=flags)


def load(
    tmp_path: Path, toml: str = "", environment: Mapping[str, str] | None = None, flags: Flags | None = None
) -> Config:
    """Return the configuration of a file with this text, of variables and flags."""
    return load_text(tmp_path, toml, environment, flags).config


def load_issues(
    tmp_path: Path, toml: str = "", environment: Mapping[str, str] | None = None, flags: Flags | None = None
) -> list[str]:
    """Return the lines about the mistakes in a configuration, with paths relative to `tmp_path`."""
    with pytest.raises(ConfigError) as caught:
        load_text(tmp_path, toml, environment, flags)
    assert caught.value.exit_status == 2
    lines = caught.value.message.splitlines()
    assert lines == [str(issue) for issue in caught.value.issues]
    return [line.replace(str(tmp_path) + "/", "") for line in lines]


def user(id: str = "a", token_hash: str = TOKEN_HASH, rest: str = "") -> str:
    """Return a table of `[[users]]`."""
    return f'[[users]]\nid = "{id}"\ntoken_hash = "{token_hash}"\n{rest}\n'


def credential(rest: str, host: str = "a.example") -> str:
    """Return a table of `[[credentials]]`."""
    return f'[[credentials]]\nhost = "{host}"\n{rest}\n'


def hook(rest: str, name: str = "chat") -> str:
    """Return a table of `[[hooks]]`."""
    return f'[[hooks]]\nname = "{name}"\n{rest}\n'
