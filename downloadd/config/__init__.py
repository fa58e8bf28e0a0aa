"""Configuration: settings with their descriptions, loaded from file, environment and flags, all mistakes together.

Sizes are bytes, durations seconds.
"""

from downloadd.config.aria2.conf import OptionOutcome, format_outcomes
from downloadd.config.checks import decode_secret
from downloadd.config.fields import ENVIRONMENT_PREFIX, Format, Setting
from downloadd.config.formats import MAX_SOCKET_PATH_BYTES
from downloadd.config.hook_settings import HOOK_EVENTS, HookAction, HookConfig
from downloadd.config.limit_settings import LimitConfig
from downloadd.config.list_settings import (
    ALL_PERMISSIONS,
    UNPRIVILEGED_PERMISSIONS,
    CredentialConfig,
    DirectoryConfig,
    HostConfig,
    ProxyConfig,
    UserConfig,
)
from downloadd.config.listen import TcpAddress, UnixAddress, aria2_addresses, listen_addresses
from downloadd.config.loader import ConfigError, LoadedConfig, default_state_dir, load_config, load_users
from downloadd.config.rule_settings import RuleConfig
from downloadd.config.schedule_settings import ScheduleConfig
from downloadd.config.settings import (
    DEFAULT_PORTS_ALLOWED,
    Aria2Config,
    ClusterConfig,
    Config,
    DownloadsConfig,
    HistoryConfig,
    ImportsConfig,
    MaxConcurrent,
    MaxPerHost,
    ServerConfig,
    StorageConfig,
)
from downloadd.config.sources import USER_FILE_NAME, ConfigIssue, Flags, RenamedSetting
from downloadd.config.storage_settings import RemoteStorageConfig
from downloadd.config.watch_settings import WatchConfig

__all__ = [
    "ALL_PERMISSIONS",
    "DEFAULT_PORTS_ALLOWED",
    "ENVIRONMENT_PREFIX",
    "HOOK_EVENTS",
    "MAX_SOCKET_PATH_BYTES",
    "UNPRIVILEGED_PERMISSIONS",
    "USER_FILE_NAME",
    "Aria2Config",
    "ClusterConfig",
    "Config",
    "ConfigError",
    "ConfigIssue",
    "CredentialConfig",
    "DirectoryConfig",
    "DownloadsConfig",
    "Flags",
    "Format",
    "HistoryConfig",
    "HookAction",
    "HookConfig",
    "HostConfig",
    "ImportsConfig",
    "LimitConfig",
    "LoadedConfig",
    "MaxConcurrent",
    "MaxPerHost",
    "OptionOutcome",
    "ProxyConfig",
    "RemoteStorageConfig",
    "RenamedSetting",
    "RuleConfig",
    "ScheduleConfig",
    "ServerConfig",
    "Setting",
    "StorageConfig",
    "TcpAddress",
    "UnixAddress",
    "UserConfig",
    "WatchConfig",
    "aria2_addresses",
    "decode_secret",
    "default_state_dir",
    "format_outcomes",
    "listen_addresses",
    "load_config",
    "load_users",
]
