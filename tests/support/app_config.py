"""Configuration for an app in the process of a test."""

import hashlib
from pathlib import Path

from support.daemon_process import TOKEN

from downloadd.config import Config, DownloadsConfig, ServerConfig, StorageConfig, UserConfig


def config_for(folder: Path) -> Config:
    token_hash = f"sha256:{hashlib.sha256(TOKEN.encode()).hexdigest()}"
    return Config(
        server=ServerConfig(state_dir=str(folder / "state")),
        storage=StorageConfig(root=str(folder / "files"), min_free=0),
        downloads=DownloadsConfig(enabled=True, allowed_networks=("127.0.0.0/8",)),
        users=(UserConfig(id="u", token_hash=token_hash, permissions=("download",)),),
    )
