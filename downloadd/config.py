"""Configuration: a frozen struct per TOML table, loaded from file, environment and flags, all mistakes together.

Sizes are bytes, durations seconds. The last one wins: defaults, the file, the environment, the flags.
"""

import difflib
import json
import os
import re
import tomllib
from base64 import b64decode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

import msgspec
from msgspec import UNSET, Meta, UnsetType, inspect

from downloadd.download import Conflict
from downloadd.errors import InvalidPathError, InvalidUrlError, StartupError
from downloadd.sizes import parse_size

ALL_PERMISSIONS = ("download", "view-downloads", "run-import", "view-import-operations")

HOOK_EVENTS: Final = ("completed", "failed", "cancelled", "skipped")
"""How a download ends."""

ENVIRONMENT_PREFIX: Final = "DOWNLOADD_"
"""Starts the name of every variable of ours: `DOWNLOADD_<TABLE>__<KEY>`."""
CREDENTIAL_NAME: Final = "downloadd.toml"
"""The systemd credential that may hold `[[credentials]]`, `[[users]]` and `[[hooks]]`."""

DEFAULT_PORTS_ALLOWED: Final = (80, 443, "1024-65535")
"""Those of HTTP, and all that need no privilege to listen on."""

SIGNING_PREFIX: Final = "whsec_"
"""Begins the secret of a webhook."""
SIGNING_KEY_COMMAND: Final = """printf 'whsec_%s\\n' "$(head -c 32 /dev/urandom | base64)\""""
"""The command that makes one."""

Port = Annotated[int, Meta(ge=0, le=65535)]
Seconds = Annotated[float, Meta(ge=0, le=31_536_000)]
Count = Annotated[int, Meta(ge=1, le=1_000_000_000)]
ByteSize = Annotated[int, Meta(ge=0, le=2**62, extra={"unit": "bytes"})]
"""Written as an integer or as a string such as "4 GiB"; the loader turns both into bytes."""


class ServerConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[server]`: where the API listens and where the daemon keeps its records."""

    host: Annotated[str, Meta(min_length=1)] = "127.0.0.1"
    port: Port = 8080
    hosts: tuple[str, ...] = ()
    base_path: str = ""
    trusted_proxies: tuple[str, ...] = ()
    unix_socket: str = ""
    tls_cert: str = ""
    tls_key: str = ""
    failed_logins: Annotated[int, Meta(ge=0, le=1_000_000)] = 50
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
    allowed_ports: Annotated[
        tuple[int | str, ...], Meta(extra={"expected": 'a list of ports and ranges, such as [80, 443, "1024-65535"]'})
    ] = DEFAULT_PORTS_ALLOWED
    timeout: Annotated[int, Meta(ge=0, le=31_536_000)] = 300
    stall_timeout: Seconds = 60
    max_concurrent: Count = 64
    max_per_host: Count = 16
    max_queued: Count = 1_000_000
    max_size: ByteSize = 0
    segments: Annotated[int, Meta(ge=1, le=16)] = 1
    retries: Annotated[int, Meta(ge=0, le=1000)] = 5
    speed_limit: ByteSize = 0
    record_checksum: bool = False


class ImportsConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[imports]`: whole export files."""

    directory: str = "Imports"
    max_upload: ByteSize = 4 << 30


class CredentialConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `[[credentials]]`: what is sent to the origin on `host`, and to no other."""

    host: Annotated[str, Meta(min_length=1)]
    headers: dict[str, str] = {}
    user: str = ""
    password: str = ""

    def __repr__(self) -> str:
        """Names the host only, so that no log or traceback shows a secret."""
        return f"CredentialConfig(host={self.host!r}, ...)"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """Names the host only."""
        return [("host", self.host)]


class DirectoryConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `[[directories]]`: what holds in a directory and everything below it; what is unset is as around it."""

    path: str
    quota: ByteSize | UnsetType = UNSET
    users: Annotated[tuple[str, ...], Meta(min_length=1, extra={"expected": "a list of user ids"})] | UnsetType = UNSET
    conflict: Annotated[Conflict, Meta(extra={"expected": "rename, overwrite, skip or error"})] | UnsetType = UNSET
    owner: Annotated[str, Meta(min_length=1)] | UnsetType = UNSET
    mode: (
        Annotated[str, Meta(pattern=r"^0?[0-7]{3}\Z", extra={"expected": 'octal digits in quotes, such as "0640"'})]
        | UnsetType
    ) = UNSET


class UserConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `[[users]]`: who may call."""

    id: Annotated[str, Meta(min_length=1, max_length=128)]
    token_hash: Annotated[
        str,
        Meta(
            pattern=r"^sha256:[0-9a-f]{64}\Z",
            extra={"expected": "sha256: and 64 lower-case hexadecimal digits, as `printf %s TOKEN | sha256sum` prints"},
        ),
    ]
    permissions: tuple[str, ...] = ALL_PERMISSIONS

    def __repr__(self) -> str:
        """Leaves the hash out: a token that a person made up could be guessed from it."""
        return f"UserConfig(id={self.id!r}, permissions={self.permissions!r}, ...)"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """Leaves the hash out."""
        return [("id", self.id), ("permissions", self.permissions)]


class HookConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `[[hooks]]`: who is told when a download has ended, by a webhook or by a command."""

    name: Annotated[
        str,
        Meta(
            pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}\Z",
            extra={"expected": "1 to 64 letters, digits, hyphens and underscores"},
        ),
    ]
    events: Annotated[tuple[str, ...], Meta(min_length=1, extra={"expected": "a list of events"})] = (
        "completed",
        "failed",
    )
    directory: str = ""
    url: str = ""
    secret: str = ""
    command: tuple[str, ...] = ()
    timeout: Annotated[float, Meta(ge=1, le=3600)] = 30

    def __repr__(self) -> str:
        """Leaves out what may hold a secret: URL, key and arguments."""
        return f"HookConfig(name={self.name!r}, events={self.events!r}, ...)"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """Leaves out what may hold a secret."""
        return [("name", self.name), ("events", self.events)]


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole configuration."""

    server: ServerConfig = ServerConfig()
    storage: StorageConfig = StorageConfig()
    downloads: DownloadsConfig = DownloadsConfig()
    imports: ImportsConfig = ImportsConfig()
    credentials: tuple[CredentialConfig, ...] = ()
    users: tuple[UserConfig, ...] = ()
    directories: tuple[DirectoryConfig, ...] = ()
    hooks: tuple[HookConfig, ...] = ()


class Flags(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line says of the configuration; what it leaves out is None, false or empty."""

    allow_download: bool = False
    root: str | None = None
    host: str | None = None
    port: int | None = None
    allow_domains: tuple[str, ...] = ()
    state_dir: str | None = None


class ConfigIssue(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is wrong with the configuration."""

    source: str
    """The file, the environment variable or the flag."""
    key: str
    """`<table>.<key>`; empty when the source as a whole is meant."""
    problem: str
    """What is wrong and what to write instead; holds no secret."""

    def __str__(self) -> str:
        return ": ".join(part for part in (self.source, self.key, self.problem) if part)


class ConfigError(StartupError):
    """The configuration is wrong; `issues` has all that was found, and the sentence a line for each."""

    exit_status = 2

    def __init__(self, issues: Sequence[ConfigIssue]) -> None:
        super().__init__("\n".join(str(issue) for issue in issues))
        self.issues = tuple(issues)


def load_config(*, file: Path | None, environment: Mapping[str, str], flags: Flags | None = None) -> Config:
    """The configuration that file, environment and flags make, its state directory resolved.

    A list given in the environment or by flags takes the place of the file's. The systemd credential
    `downloadd.toml` adds its credentials, users and hooks to all others. Reads files: blocks.

    Raises:
        ConfigError: unknown keys, wrong types, impossible values, unreadable files; all of them at once.
    """
    loader = _Loader()
    if file is not None:
        loader.read_file(file)
    loader.read_environment(environment)
    if flags is not None:
        loader.read_flags(flags)
    directory = environment.get("CREDENTIALS_DIRECTORY")
    if directory:
        loader.read_credential(Path(directory) / CREDENTIAL_NAME)
    config = loader.build(environment)
    if loader.issues:
        raise ConfigError(loader.issues)
    return config


_TABLES: Final[dict[str, type[msgspec.Struct]]] = {
    "server": ServerConfig,
    "storage": StorageConfig,
    "downloads": DownloadsConfig,
    "imports": ImportsConfig,
}
_LISTS: Final[dict[str, type[msgspec.Struct]]] = {
    "credentials": CredentialConfig,
    "users": UserConfig,
    "directories": DirectoryConfig,
    "hooks": HookConfig,
}
_SECRET_LISTS: Final = frozenset({"credentials", "users", "hooks"})
MAX_SOCKET_PATH_BYTES: Final = 107
"""Bytes, as `sockaddr_un` of Linux has them (unix(7))."""

CLIENT_VARIABLES: Final = frozenset({"DOWNLOADD_URL", "DOWNLOADD_TOKEN", "DOWNLOADD_CA_FILE"})
"""What `downloadctl` reads: the daemon lets it be."""
_SERVER_PATHS: Final = ("state_dir", "unix_socket", "tls_cert", "tls_key")
_SECRET_KEYS: Final = frozenset(
    {"headers", "user", "password", "token_hash", "secret", "url", "command", "credentials", "users", "hooks"}
)
_DEFAULT_SOURCE: Final = "default"

_RESERVED_FIELDS: Final = frozenset(
    {
        "accept-encoding",
        "connection",
        "content-length",
        "expect",
        "host",
        "if-match",
        "if-modified-since",
        "if-none-match",
        "if-range",
        "if-unmodified-since",
        "range",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""Header fields of a request that mean how a download goes on, and so are no credentials."""

_FIELD_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""A token (RFC 9110, section 5.6.2)."""
_INVALID_IN_FIELD_VALUE: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
"""What no field value may hold (RFC 9110, section 5.5)."""
_CONTROL_CHARACTER: Final = re.compile(r"[\x00-\x1f\x7f]")
_INVALID_IN_URL: Final = re.compile(r"[\x00-\x20\x7f]")
_INVALID_IN_HOST: Final = re.compile(r"[\x00-\x20\x7f/@?#]")
_BASE_PATH: Final = re.compile(r"(?:/(?!\.{1,2}(?:/|\Z))[A-Za-z0-9._~-]+)*")
_INTEGER: Final = re.compile(r"[+-]?[0-9]+(_[0-9]+)*")
_TOML_POSITION: Final = re.compile(r" \(at line (\d+), column (\d+)\)$")
_BOOLEAN_WORDS: Final = {
    **dict.fromkeys(("true", "yes", "on", "1"), True),
    **dict.fromkeys(("false", "no", "off", "0"), False),
}


class _SourcedValue(msgspec.Struct, frozen=True, kw_only=True):
    value: Any
    source: str
    key: str


class _Loader:
    """Gathers values, each with where it came from, and mistakes."""

    def __init__(self) -> None:
        self.issues: list[ConfigIssue] = []
        self._values: dict[tuple[str, str], _SourcedValue] = {}
        self._lists: dict[str, list[_SourcedValue]] = {name: [] for name in _LISTS}
        self._files: list[Path] = []

    # -- the sources ---------------------------------------------------------------------------------------------------

    def read_file(self, file: Path) -> None:
        source = str(file)
        for name, content in self._read_toml(file).items():
            if name in _LISTS:
                self._set_list(name, content, source)
            elif name not in _TABLES:
                self._add_issue(
                    source, name, _describe_unknown(name, _map_to_themselves((*_TABLES, *_LISTS)), _qualified_keys())
                )
            elif not isinstance(content, dict):
                self._add_issue(source, name, f"expected a table: write [{name}] and its keys below it")
            else:
                for key, value in content.items():
                    self._set_value(name, key, value, source)

    def read_credential(self, file: Path) -> None:
        source = str(file)
        if not file.exists():
            return
        for name, content in self._read_toml(file).items():
            if name in _SECRET_LISTS:
                self._set_list(name, content, source)
            else:
                self._add_issue(
                    source, name, "only [[credentials]], [[users]] and [[hooks]] may be a systemd credential"
                )

    def read_environment(self, environment: Mapping[str, str]) -> None:
        known = {_variable(f"{table}.{key}"): (table, key) for table, key in _iter_keys()}
        lists = {_variable(name): name for name in _LISTS}
        for variable in sorted(environment):
            if not variable.startswith(ENVIRONMENT_PREFIX):
                continue
            text = environment[variable]
            if variable in known:
                table, key = known[variable]
                value = self._parse_text(_type_of(_TABLES[table], key), text, variable, f"{table}.{key}")
                if value is not None:
                    self._set_value(table, key, value, variable)
            elif variable in lists:
                content = self._parse_json(text, variable, lists[variable])
                if content is not None:
                    self._lists[lists[variable]] = []
                    self._set_list(lists[variable], content, variable)
            elif variable not in CLIENT_VARIABLES:
                word = variable.removeprefix(ENVIRONMENT_PREFIX)
                words = {each.removeprefix(ENVIRONMENT_PREFIX): each for each in (*known, *lists)}
                self._add_issue(variable, "", _describe_unknown(word, words, kind="variable"))

    def read_flags(self, flags: Flags) -> None:
        given: tuple[tuple[str, str, str, object], ...] = (
            ("--allow-download", "downloads", "allow", flags.allow_download or None),
            ("--root", "storage", "root", flags.root),
            ("--host", "server", "host", flags.host),
            ("--port", "server", "port", flags.port),
            ("--allow-domain", "downloads", "allowed_domains", list(flags.allow_domains) or None),
            ("--state-dir", "server", "state_dir", flags.state_dir),
        )
        for flag, table, key, value in given:
            if value is not None:
                self._set_value(table, key, value, flag)

    # -- the result ----------------------------------------------------------------------------------------------------

    def build(self, environment: Mapping[str, str]) -> Config:
        self._check_server()
        self._check_policy()
        self._check_imports()
        state_dir = self._value_of("server", "state_dir", "") or default_state_dir(environment)
        if not state_dir:
            self._add_issue(_DEFAULT_SOURCE, "server.state_dir", "there is no HOME to put it in; set server.state_dir")
        self._values["server", "state_dir"] = _SourcedValue(
            value=state_dir, source=_DEFAULT_SOURCE, key="server.state_dir"
        )
        self._check_root()
        return Config(
            server=ServerConfig(**self._table("server")),
            storage=StorageConfig(**self._table("storage")),
            downloads=DownloadsConfig(**self._table("downloads")),
            imports=ImportsConfig(**self._table("imports")),
            credentials=tuple(self._credentials()),
            users=tuple(self._users()),
            directories=tuple(self._directories()),
            hooks=tuple(self._hooks()),
        )

    def _table(self, table: str) -> dict[str, Any]:
        return {key: given.value for (of, key), given in self._values.items() if of == table}

    def _value_of(self, table: str, key: str, default: Any) -> Any:
        given = self._values.get((table, key))
        return default if given is None else given.value

    def _check_server(self) -> None:
        for name in (("storage", "root"), *(("server", key) for key in _SERVER_PATHS)):
            given = self._values.get(name)
            if given is not None and _CONTROL_CHARACTER.search(given.value):
                self._add_issue(given.source, given.key, "a path may hold no control characters")
        given = self._values.get(("server", "host"))
        if given is not None and _INVALID_IN_HOST.search(given.value):
            self._add_issue(given.source, given.key, "expected a host name or an IP address alone")
        given = self._values.get(("server", "base_path"))
        if given is not None and not _BASE_PATH.fullmatch(given.value):
            problem = 'expected a path such as "/downloads-api": a slash before each name, none at the end'
            self._add_issue(given.source, given.key, problem)
        given = self._values.get(("server", "tls_key"))
        if given is not None and given.value and not self._value_of("server", "tls_cert", ""):
            self._add_issue(given.source, given.key, "is of no use without server.tls_cert")
        given = self._values.get(("server", "unix_socket"))
        if given is not None and len(os.fsencode(given.value)) > MAX_SOCKET_PATH_BYTES:
            self._add_issue(
                given.source, given.key, f"the path of a socket may have {MAX_SOCKET_PATH_BYTES} bytes at most"
            )

    def _check_root(self) -> None:
        """Nothing that the daemon itself lives by may lie where downloads go, and can be overwritten by one."""
        given = self._values.get(("storage", "root"))
        root, source = (StorageConfig().root, _DEFAULT_SOURCE) if given is None else (given.value, given.source)
        own = [(f"server.{key}", self._value_of("server", key, "")) for key in _SERVER_PATHS]
        for name, path in (*own, *(("the configuration", str(file)) for file in self._files)):
            # What cannot be a path has been said before.
            if path and not _CONTROL_CHARACTER.search(path + root) and _is_within(path, root):
                self._add_issue(
                    source,
                    "storage.root",
                    f"{name} ({path}) lies in it, where a download could overwrite it; put one of them elsewhere",
                )

    def _check_imports(self) -> None:
        from downloadd.storage.names import parse_directory

        given = self._values.get(("imports", "directory"))
        if given is not None:
            try:
                parse_directory(given.value)
            except InvalidPathError as error:
                self._add_issue(given.source, given.key, error.detail)

    def _check_policy(self) -> None:
        # The rooms below know their own grammar. Imported here, because they import the nouns at the top level.
        from downloadd.policy.addresses import AddressRules
        from downloadd.policy.domains import DomainRules
        from downloadd.policy.ports import PortRules
        from downloadd.policy.proxies import TrustedProxies

        rules = (
            ("downloads", "allowed_domains", DomainRules),
            ("downloads", "allowed_networks", AddressRules),
            ("downloads", "allowed_ports", PortRules),
            ("server", "hosts", DomainRules),
            ("server", "trusted_proxies", TrustedProxies),
        )
        for table, key, parse in rules:
            given = self._values.get((table, key))
            if given is None:
                continue
            for text in given.value:
                try:
                    parse((text,))
                except ValueError as error:
                    self._add_issue(given.source, given.key, str(error))

    def _credentials(self) -> Iterator[CredentialConfig]:
        from downloadd.policy.url import parse_host

        hosts: dict[str, str] = {}
        for given in self._lists["credentials"]:
            credential: CredentialConfig = given.value
            for field, problem in _check_credential(credential):
                self._add_issue(given.source, f"{given.key}.{field}".rstrip("."), problem)
            try:
                host = parse_host(credential.host)
            except InvalidUrlError as error:
                self._add_issue(given.source, f"{given.key}.host", f"expected a host alone: {error.detail}")
                continue
            if host in hosts:
                self._add_issue(given.source, f"{given.key}.host", f"{host} has credentials already, in {hosts[host]}")
            hosts.setdefault(host, f"{given.key} of {given.source}")
            yield msgspec.structs.replace(credential, host=host)

    def _users(self) -> Iterator[UserConfig]:
        ids: dict[str, str] = {}
        tokens: dict[str, str] = {}
        for given in self._lists["users"]:
            user: UserConfig = given.value
            if _CONTROL_CHARACTER.search(user.id) or user.id != user.id.strip():
                self._add_issue(
                    given.source, f"{given.key}.id", "may hold no control characters and no spaces around it"
                )
            if user.id in ids:
                self._add_issue(
                    given.source, f"{given.key}.id", f"{_format_value(user.id)} is taken already, by {ids[user.id]}"
                )
            if user.token_hash in tokens:
                self._add_issue(
                    given.source, f"{given.key}.token_hash", f"is that of {tokens[user.token_hash]}; give each its own"
                )
            place = f"{given.key} of {given.source}"
            ids.setdefault(user.id, place)
            tokens.setdefault(user.token_hash, place)
            yield user

    def _directories(self) -> Iterator[DirectoryConfig]:
        # What is a directory, and who may own files, the storage knows.
        from downloadd.storage.names import parse_directory
        from downloadd.storage.owners import resolve_owner

        paths: dict[str, str] = {}
        known = {given.value.id for given in self._lists["users"]}
        for given in self._lists["directories"]:
            config: DirectoryConfig = given.value
            try:
                config = msgspec.structs.replace(config, path=parse_directory(config.path))
            except InvalidPathError as error:
                self._add_issue(given.source, f"{given.key}.path", error.detail)
            if config.path in paths:
                self._add_issue(given.source, f"{given.key}.path", f"is that of {paths[config.path]} already")
            paths.setdefault(config.path, f"{given.key} of {given.source}")
            for id in config.users or ():
                # Without users of their own, the one that the first start makes is not known yet.
                if known and id not in known:
                    self._add_issue(given.source, f"{given.key}.users", f"no user has the id {_format_value(id)}")
            if config.owner is not UNSET:
                try:
                    config = msgspec.structs.replace(config, owner=resolve_owner(config.owner))
                except ValueError as error:
                    self._add_issue(given.source, f"{given.key}.owner", str(error))
            yield config

    def _hooks(self) -> Iterator[HookConfig]:
        names: dict[str, str] = {}
        for given in self._lists["hooks"]:
            hook: HookConfig = given.value
            for field, problem in _check_hook(hook):
                self._add_issue(given.source, f"{given.key}.{field}".rstrip("."), problem)
            if hook.name in names:
                self._add_issue(
                    given.source,
                    f"{given.key}.name",
                    f"{_format_value(hook.name)} is taken already, by {names[hook.name]}",
                )
            names.setdefault(hook.name, f"{given.key} of {given.source}")
            yield msgspec.structs.replace(hook, directory=hook.directory.strip("/"))

    # -- single values -------------------------------------------------------------------------------------------------

    def _add_issue(self, source: str, key: str, problem: str) -> None:
        self.issues.append(ConfigIssue(source=source, key=key, problem=problem))

    def _set_value(self, table: str, key: str, value: object, source: str) -> None:
        of, name = _TABLES[table], f"{table}.{key}"
        if key not in _field_names(of):
            self._add_issue(
                source,
                name,
                _describe_unknown(key, {each: f"{table}.{each}" for each in _field_names(of)}, _qualified_keys()),
            )
            return
        converted = self._convert(_type_of(of, key), value, source, name)
        if converted is not None:
            self._values[table, key] = _SourcedValue(value=converted, source=source, key=name)

    def _set_list(self, name: str, content: object, source: str) -> None:
        if not isinstance(content, list):
            self._add_issue(source, name, f"expected a list of tables: write [[{name}]]")
            return
        for index, item in enumerate(content):
            key = f"{name}[{index}]"
            if not isinstance(item, dict):
                self._add_issue(source, key, f"expected a table: write [[{name}]] and its keys below it")
                continue
            of = _LISTS[name]
            found = len(self.issues)
            values = {}
            for field, value in item.items():
                if field in _field_names(of):
                    values[field] = self._convert(_type_of(of, field), value, source, f"{key}.{field}")
                else:
                    self._add_issue(
                        source, f"{key}.{field}", _describe_unknown(field, _map_to_themselves(_field_names(of)))
                    )
            for missing in msgspec.structs.fields(of):
                if missing.required and missing.name not in item:
                    self._add_issue(source, f"{key}.{missing.name}", "is missing")
            for event in values.get("events") or ():
                if event not in HOOK_EVENTS:
                    problem = _describe_unknown(event, _map_to_themselves(HOOK_EVENTS), kind="event")
                    self._add_issue(source, f"{key}.events", f"{_format_value(event)}: {problem}")
            for permission in values.get("permissions") or ():
                if permission not in ALL_PERMISSIONS:
                    problem = _describe_unknown(permission, _map_to_themselves(ALL_PERMISSIONS), kind="permission")
                    self._add_issue(source, f"{key}.permissions", f"{_format_value(permission)}: {problem}")
            if len(self.issues) == found:
                self._lists[name].append(_SourcedValue(value=of(**values), source=source, key=key))

    def _convert(self, type_: Any, value: object, source: str, key: str) -> Any:
        """The value as a field of `type_` holds it; None after a mistake."""
        info = inspect.type_info(type_)
        try:
            if _is_size(info) and isinstance(value, str):
                value = parse_size(value)
            return msgspec.convert(value, type_)
        except msgspec.ValidationError:
            secret = key.rpartition(".")[2] in _SECRET_KEYS
            got = "" if secret or isinstance(_unwrap_type(info), inspect.DictType) else f", got {_format_value(value)}"
            self._add_issue(source, key, f"expected {_describe_expected(info)}{got}")
        except ValueError as error:
            self._add_issue(source, key, f"{error}, got {_format_value(value)}")
        return None

    def _parse_text(self, type_: Any, text: str, source: str, key: str) -> object:
        """The value that a variable's text stands for; the text itself when it is none of its type."""
        match _unwrap_type(inspect.type_info(type_)):
            case inspect.BoolType():
                return _BOOLEAN_WORDS.get(text.strip().lower(), text)
            case inspect.IntType() if _INTEGER.fullmatch(text.strip()):
                # A longer number is out of range, and Python refuses to read one that is much longer.
                return int(text) if len(text) < 100 else text
            case inspect.FloatType():
                try:
                    return float(text)
                except ValueError:
                    return text
            case inspect.VarTupleType() if text.lstrip().startswith("["):
                return self._parse_json(text, source, key)
            case inspect.VarTupleType():
                return [part.strip() for part in text.split(",") if part.strip()]
            case _:
                return text

    def _parse_json(self, text: str, source: str, key: str) -> object:
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            self._add_issue(source, key, "expected a list in JSON")
            return None

    def _read_toml(self, file: Path) -> dict[str, Any]:
        self._files.append(file)
        try:
            return tomllib.loads(file.read_bytes().decode())
        except OSError as error:
            self._add_issue(str(file), "", f"cannot be read: {error.strerror or error}")
        except UnicodeDecodeError as error:
            self._add_issue(str(file), "", f"is no TOML: byte {error.start} is not UTF-8")
        except tomllib.TOMLDecodeError as error:
            place = _TOML_POSITION.search(str(error))
            source = f"{file}:{place[1]}:{place[2]}" if place else str(file)
            self._add_issue(source, "", f"is no TOML: {_TOML_POSITION.sub('', str(error))}")
        except RecursionError:
            self._add_issue(str(file), "", "is no TOML that can be read: it is nested too deeply")
        return {}


def _check_credential(credential: CredentialConfig) -> Iterator[tuple[str, str]]:
    """Key and problem of what no origin can be sent."""
    if not credential.headers and not credential.user:
        yield ("", "has nothing to send: give it headers, or user and password")
    if credential.password and not credential.user:
        yield ("password", "is given without user")
    seen = set()
    for name, value in credential.headers.items():
        folded = name.lower()
        if not _FIELD_NAME.fullmatch(name):
            yield ("headers", f"{_format_value(name)} is no name of a header field")
        elif folded in _RESERVED_FIELDS:
            yield ("headers", f"{name} is set by downloadd itself")
        elif folded in seen:
            yield ("headers", f"{name} is given twice")
        if _INVALID_IN_FIELD_VALUE.search(value):
            yield ("headers", f"the value of {_format_value(name)} holds a line break or another control character")
        seen.add(folded)
    if credential.user and "authorization" in seen:
        yield ("", "has both user and an Authorization header; only one of them can be sent")
    # RFC 7617, section 2: neither may hold control characters, and a colon ends the user.
    for key, text in (("user", credential.user), ("password", credential.password)):
        if _CONTROL_CHARACTER.search(text):
            yield (key, "may hold no control characters")
    if ":" in credential.user:
        yield ("user", "may hold no colon")


def _check_hook(hook: HookConfig) -> Iterator[tuple[str, str]]:
    """Key and problem of a hook that could tell nobody."""
    if bool(hook.url) == bool(hook.command):
        yield ("", "expected either url and secret, or command")
    if hook.url:
        try:
            parts = urlsplit(hook.url)
            reachable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
        except ValueError:
            reachable = False
        if not reachable or _INVALID_IN_URL.search(hook.url):
            yield ("url", "expected an http:// or https:// URL")
        if decode_secret(hook.secret) is None:
            yield (
                "secret",
                f"expected {SIGNING_PREFIX} and 24 to 64 bytes in Base64, as `{SIGNING_KEY_COMMAND}` prints",
            )
    elif hook.secret:
        yield ("secret", "is given without url")
    if hook.command and (not hook.command[0] or any("\0" in word for word in hook.command)):
        yield ("command", "expected a program and its arguments, without NUL")
    if _CONTROL_CHARACTER.search(hook.directory):
        yield ("directory", "may hold no control characters")


def decode_secret(secret: str) -> bytes | None:
    """The key of a webhook's signature, as the Standard Webhooks specification writes it; None when it is none."""
    if not secret.startswith(SIGNING_PREFIX):
        return None
    try:
        key = b64decode(secret.removeprefix(SIGNING_PREFIX), validate=True)
    except ValueError:
        return None
    return key if 24 <= len(key) <= 64 else None


def default_state_dir(environment: Mapping[str, str]) -> str:
    """Where the service manager or the user keeps such things; empty when neither says."""
    # systemd.exec(5): several directories are separated by colons.
    given = environment.get("STATE_DIRECTORY", "").partition(":")[0]
    if given:
        return given
    home = environment.get("XDG_STATE_HOME", "")
    # XDG Base Directory Specification: a relative path is to be ignored.
    if home.startswith("/"):
        return f"{home.rstrip('/')}/downloadd"
    home = environment.get("HOME", "")
    return f"{home.rstrip('/')}/.local/state/downloadd" if home.startswith("/") else ""


def _field_names(of: type[msgspec.Struct]) -> tuple[str, ...]:
    return of.__struct_fields__


def _iter_keys() -> Iterator[tuple[str, str]]:
    for table, of in _TABLES.items():
        for key in _field_names(of):
            yield table, key


def _qualified_keys() -> dict[str, str]:
    return {key: f"{table}.{key}" for table, key in _iter_keys()}


def _map_to_themselves(words: Iterable[str]) -> dict[str, str]:
    return {word: word for word in words}


def _variable(key: str) -> str:
    return ENVIRONMENT_PREFIX + key.replace(".", "__").upper()


def _type_of(of: type[msgspec.Struct], key: str) -> Any:
    """The annotated type of a field."""
    return next(field.type for field in msgspec.structs.fields(of) if field.name == key)


def _unwrap_type(info: inspect.Type) -> inspect.Type:
    return info.type if isinstance(info, inspect.Metadata) else info


def _type_metadata(info: inspect.Type) -> Mapping[str, object]:
    return (info.extra or {}) if isinstance(info, inspect.Metadata) else {}


def _is_size(info: inspect.Type) -> bool:
    return _type_metadata(info).get("unit") == "bytes"


def _describe_expected(info: inspect.Type) -> str:
    if "expected" in _type_metadata(info):
        return str(_type_metadata(info)["expected"])
    if _is_size(info):
        return 'a size in bytes, at most 4 EiB, or one such as "10 MiB"'
    match _unwrap_type(info):
        case inspect.BoolType():
            return "true or false"
        case inspect.IntType(ge=low, le=high):
            return f"an integer from {low} to {high}"
        case inspect.FloatType(ge=low, le=high):
            return f"a number from {low:g} to {high:.0f}"
        case inspect.StrType(min_length=None):
            return "a text in quotes"
        case inspect.StrType(max_length=None):
            return "a text in quotes that is not empty"
        case inspect.StrType(max_length=longest):
            return f"a text in quotes of 1 to {longest} characters"
        case inspect.DictType():
            return "a table of texts"
        case _:
            return "a list of texts"


def _is_within(path: str, directory: str) -> bool:
    """Whether a path is a directory, or anything below it, once links are followed."""
    real, around = os.path.realpath(path), os.path.realpath(directory)
    return os.path.commonpath((real, around)) == around


def _format_value(value: object) -> str:
    """A value in a sentence: texts and numbers as TOML writes them, others by their type."""
    match value:
        case bool() | str():
            text = json.dumps(value)
        case int() | float():
            text = str(value) if isinstance(value, float) or abs(value) < 10**60 else "a huge number"
        case list():
            return "a list" if all(isinstance(item, str) for item in value) else "a list of other things"
        case dict():
            return "a table"
        case _:
            return "a date or time"
    return text if len(text) <= 60 else f"{text[:60]}…"


def _describe_unknown(
    word: str, candidates: Mapping[str, str], fallbacks: Mapping[str, str] | None = None, *, kind: str = "key"
) -> str:
    """What to say of an unknown word: the most similar one of `candidates`, else of `fallbacks`, else all of `candidates`.

    Both map a word to how it is to be written.
    """
    if fallbacks is not None and word in fallbacks and word not in candidates:
        return f"unknown {kind}; did you mean {fallbacks[word]}?"
    for known in (candidates, fallbacks or {}):
        found = difflib.get_close_matches(word, known, n=1)
        if found:
            return f"unknown {kind}; did you mean {known[found[0]]}?"
    return f"unknown {kind}; known ones: {', '.join(candidates.values())}"
