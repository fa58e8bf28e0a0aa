"""Loading of the configuration: all sources in their order, all issues at once."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from downloadd.config.aria2.conf import OptionOutcome, read_aria2_conf
from downloadd.config.checks import DEFAULT_SOURCE, check_rules, check_users
from downloadd.config.fields import Format
from downloadd.config.formats import Parser, check_formats
from downloadd.config.list_settings import UserConfig
from downloadd.config.settings import Config, StorageConfig
from downloadd.config.sources import (
    TABLES,
    ConfigIssue,
    ConfigValues,
    Flags,
    RenamedSetting,
    SourcedValue,
    read_credential,
    read_environment,
    read_file,
    read_flags,
    read_user_file,
)
from downloadd.errors import StartupError

CREDENTIAL_NAME: Final = "downloadd.toml"
"""Name of the systemd credential, which may hold `[[credentials]]`, `[[proxies]]`, `[[users]]`, `[[hooks]]`,
`[[storages]]` and `cluster.database`."""


class ConfigError(StartupError):
    """The configuration has mistakes; the message has one line for each of `issues`."""

    exit_status = 2

    def __init__(self, issues: Sequence[ConfigIssue]) -> None:
        super().__init__("\n".join(str(issue) for issue in issues))
        self.issues = tuple(issues)


class LoadedConfig(msgspec.Struct, frozen=True, kw_only=True):
    """A configuration without mistakes."""

    config: Config
    """Its state directory and storage root are absolute, the first one unless it is given otherwise."""
    renamed: tuple[RenamedSetting, ...] = ()
    """Settings that were given by their former name."""
    aria2_options: tuple[OptionOutcome, ...] = ()
    """Outcomes of the options of an `aria2.conf`."""


def load_config(
    *,
    file: Path | None,
    environment: Mapping[str, str],
    flags: Flags | None = None,
    aria2_conf: Path | None = None,
    parsers: Mapping[Format, Parser],
) -> LoadedConfig:
    """Return the configuration of defaults, file, environment and flags; the last source that gives a value wins.

    A list in the environment or in flags replaces that of the file. The systemd credential `downloadd.toml` adds its
    credentials, users and hooks to all others. An `aria2.conf` gives what no other source does. Reads files: blocks.

    Args:
        file: the TOML file.
        environment: all variables of the process.
        flags: settings from the command line.
        aria2_conf: a configuration file of aria2.
        parsers: the formats that other packages define.

    Raises:
        ConfigError: unknown keys, wrong types, impossible values, unreadable files; all of them at once.
    """
    values = ConfigValues()
    if file is not None:
        read_file(values, file)
    read_environment(values, environment)
    if flags is not None:
        read_flags(values, flags)
    directory = environment.get("CREDENTIALS_DIRECTORY")
    if directory:
        read_credential(values, Path(directory) / CREDENTIAL_NAME)
    outcomes = () if aria2_conf is None else read_aria2_conf(values, aria2_conf, environment)
    _resolve_state_dir(values, environment)
    check_formats(values, parsers)
    check_rules(values)
    _resolve_root(values)
    if values.issues:
        raise ConfigError(values.issues)
    return LoadedConfig(config=_build_config(values), renamed=tuple(values.renamed), aria2_options=outcomes)


def load_users(file: Path) -> tuple[UserConfig, ...]:
    """Return the users of a file that has nothing else; none if it is missing. Blocks.

    Raises:
        ConfigError: unknown keys, wrong types, impossible or repeated values; all of them at once.
        OSError: the directory of the file cannot be used.
    """
    values = ConfigValues()
    read_user_file(values, file)
    check_formats(values, {})
    check_users(values)
    if values.issues:
        raise ConfigError(values.issues)
    return tuple([given.value for given in values.lists["users"]])


def default_state_dir(environment: Mapping[str, str]) -> str:
    """Return the state directory that the service manager or the user's environment names; "" if neither does."""
    # systemd.exec(5): several directories are separated by colons.
    given = environment.get("STATE_DIRECTORY", "").partition(":")[0]
    if given:
        return given
    home = environment.get("XDG_STATE_HOME", "")
    # XDG Base Directory Specification: a relative path is ignored.
    if home.startswith("/"):
        return f"{home.rstrip('/')}/downloadd"
    home = environment.get("HOME", "")
    return f"{home.rstrip('/')}/.local/state/downloadd" if home.startswith("/") else ""


def _resolve_state_dir(values: ConfigValues, environment: Mapping[str, str]) -> None:
    if values.get("server", "state_dir", ""):
        return
    state_dir = default_state_dir(environment)
    if not state_dir:
        problem = "there is no HOME for the default directory; set server.state_dir"
        values.add_issue(DEFAULT_SOURCE, "server.state_dir", problem)
    default = SourcedValue(value=state_dir, source=DEFAULT_SOURCE, key="server.state_dir")
    values.set("server", "state_dir", default)


def _resolve_root(values: ConfigValues) -> None:
    """Make the storage root absolute, so that each message about it names the same place."""
    given = values.find("storage", "root")
    root = os.path.abspath(StorageConfig().root if given is None else given.value)
    source = SourcedValue(value=root, source=DEFAULT_SOURCE, key="storage.root")
    values.set("storage", "root", source if given is None else msgspec.structs.replace(given, value=root))


def _build_config(values: ConfigValues) -> Config:
    tables: dict[str, Any] = {table: struct(**values.table(table)) for table, struct in TABLES.items()}
    lists: dict[str, Any] = {name: tuple([item.value for item in items]) for name, items in values.lists.items()}
    return Config(**tables, **lists)
