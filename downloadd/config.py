"""Configuration: a frozen struct per TOML table.

Sizes are bytes, durations seconds.
"""

from typing import Annotated

import msgspec
from msgspec import Meta

ALL_PERMISSIONS = ("download", "view-downloads", "run-import", "view-import-operations")

Port = Annotated[int, Meta(ge=0, le=65535)]
Seconds = Annotated[float, Meta(ge=0, le=31_536_000)]
Count = Annotated[int, Meta(ge=1, le=1_000_000_000)]
ByteSize = Annotated[int, Meta(ge=0, le=2**62, extra={"unit": "bytes"})]
"""Written as an integer or as a string such as "4 GiB"; the loader turns both into bytes."""


class ServerConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[server]`: where the API listens and where the daemon keeps its records."""

    host: Annotated[str, Meta(min_length=1)] = "127.0.0.1"
    port: Port = 8080
    state_dir: str = ""


class StorageConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[storage]`: where the files go."""

    root: Annotated[str, Meta(min_length=1)] = "downloads"
    min_free: ByteSize = 1 << 30
    fsync: bool = True


class DownloadsConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[downloads]`: what may be fetched, how much at once, and how patiently."""

    allow: bool = False
    allowed_domains: tuple[str, ...] = ()
    allowed_networks: tuple[str, ...] = ()
    timeout: Annotated[int, Meta(ge=0, le=31_536_000)] = 300
    stall_timeout: Seconds = 60
    max_concurrent: Count = 64
    max_per_host: Count = 16
    max_queued: Count = 1_000_000
    max_size: ByteSize = 0
    segments: Annotated[int, Meta(ge=1, le=16)] = 1
    retries: Annotated[int, Meta(ge=0, le=1000)] = 5
    speed_limit: ByteSize = 0


class CredentialConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `[[credentials]]`: what is sent to the origin on `host`, and to no other."""

    host: Annotated[str, Meta(min_length=1)]
    headers: dict[str, str] = {}
    user: str = ""
    password: str = ""

    def __repr__(self) -> str:
        """Names the host only, so that no log or traceback shows a secret."""
        return f"CredentialConfig(host={self.host!r}, ...)"


class UserConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `[[users]]`: who may call."""

    id: Annotated[str, Meta(min_length=1, max_length=128)]
    token_hash: Annotated[str, Meta(pattern=r"^sha256:[0-9a-f]{64}$")]
    permissions: tuple[str, ...] = ALL_PERMISSIONS


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole configuration."""

    server: ServerConfig = ServerConfig()
    storage: StorageConfig = StorageConfig()
    downloads: DownloadsConfig = DownloadsConfig()
    credentials: tuple[CredentialConfig, ...] = ()
    users: tuple[UserConfig, ...] = ()
