"""Checks of the configuration: the grammar of texts, and rules that concern several values."""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from ipaddress import ip_address
from typing import Any, Final

from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from downloadd.config.conversion import format_value
from downloadd.config.database_url import parse_database_url
from downloadd.config.fields import Format, Setting, read_settings
from downloadd.config.item_problems import (
    CONTROL_CHARACTER,
    credential_problems,
    hook_problems,
    host_problems,
    limit_problems,
)
from downloadd.config.list_settings import (
    DirectoryConfig,
    ProxyConfig,
    UserConfig,
)
from downloadd.config.listen import (
    TcpAddress,
    UnixAddress,
    listen_addresses,
    parse_listen_address,
    parse_listen_host,
)
from downloadd.config.settings import ServerConfig, StorageConfig
from downloadd.config.sources import LISTS, ConfigValues, SourcedValue, iter_settings
from downloadd.hours import parse_hours, parse_time_zone
from downloadd.request_fields import find_user_problems

Parser = Callable[[Any], Any]
"""Returns the canonical spelling of a text, or raises ValueError with the problem."""

MAX_SOCKET_PATH_BYTES: Final = 107
"""Bytes in the path of a Unix socket: `sun_path` of Linux without the NUL (unix(7))."""
DEFAULT_SOURCE: Final = "default"
"""Source of values that no file, variable or flag gives."""

_DAEMON_PATHS: Final = ("state_dir", "unix_socket", "tls_cert", "tls_key")
"""Settings of `[server]` that name files of the daemon itself."""
_ORIGIN: Final = re.compile(r"\*|null|[a-z][a-z0-9+.-]*://[^\x00-\x20\x7f/?#@*]+")
_BASE_PATH: Final = re.compile(r"(?:/(?!\.{1,2}(?:/|\Z))[A-Za-z0-9._~-]+)*")


def check_formats(values: ConfigValues, parsers: Mapping[Format, Parser]) -> None:
    """Check the texts of every setting that has a format, and replace them by their canonical spelling.

    `parsers` adds the formats that other packages define.
    """
    parsers = {**OWN_PARSERS, **parsers}
    for setting in iter_settings():
        given = values.find(setting.table, setting.name)
        if given is not None and setting.format is not None:
            parsed = _parse(values, setting, given.value, given.source, given.key, parsers)
            values.set(setting.table, setting.name, replace(given, value=parsed))
    for name, items in values.lists.items():
        settings = read_settings(name, LISTS[name]).values()
        items[:] = [_parse_item(values, item, settings, parsers) for item in items]


def check_rules(values: ConfigValues) -> None:
    """Check what concerns several values: their combinations, names that are taken, paths inside of the root."""
    _check_listen(values)
    _check_tls(values)
    _check_aria2_port(values)
    _check_root(values)
    _check_limits(values)
    _check_hosts(values)
    _check_proxies(values)
    _check_credentials(values)
    _check_users(values)
    _check_cluster(values)
    _check_directories(values)
    _check_hooks(values)


# -- formats -----------------------------------------------------------------------------------------------------------


def _parse_item(
    values: ConfigValues, item: SourcedValue, settings: Any, parsers: Mapping[Format, Parser]
) -> SourcedValue:
    changes = {
        setting.name: _parse(values, setting, value, item.source, f"{item.key}.{setting.name}", parsers)
        for setting in settings
        if setting.format is not None and not isinstance(value := getattr(item.value, setting.name), UnsetType)
    }
    return replace(item, value=replace(item.value, **changes))


def _parse(
    values: ConfigValues, setting: Setting, value: Any, source: str, key: str, parsers: Mapping[Format, Parser]
) -> Any:
    """Return the canonical spelling of a text or of the texts of a list; a wrong one stays as it is."""
    if isinstance(value, tuple):
        return tuple([_parse(values, setting, text, source, key, parsers) for text in value])
    assert setting.format is not None  # noqa: S101 - narrows the type; the callers filter
    try:
        return parsers[setting.format](value)
    except ValueError as error:
        values.add_issue(source, key, str(error))
        return value


def _parse_path(text: str) -> str:
    if CONTROL_CHARACTER.search(text):
        raise ValueError("a path may not hold control characters")
    return text


def _parse_socket_path(text: str) -> str:
    if len(os.fsencode(text)) > MAX_SOCKET_PATH_BYTES:
        raise ValueError(f"the path of a socket may have {MAX_SOCKET_PATH_BYTES} bytes at most")
    return _parse_path(text)


def _parse_listen_address(text: str) -> str:
    address = parse_listen_address(text, ServerConfig().port)
    if isinstance(address, UnixAddress):
        _parse_socket_path(address.path)
    return text


def _parse_base_path(text: str) -> str:
    if not _BASE_PATH.fullmatch(text):
        raise ValueError('expected a path such as "/downloads-api": a slash before each name, none at the end')
    return text


def _parse_origin(text: str) -> str:
    if not _ORIGIN.fullmatch(text.lower()):
        raise ValueError('expected an origin such as "https://ariang.example.com", without a path, or "*"')
    return text.lower()


def _parse_user_id(text: str) -> str:
    if CONTROL_CHARACTER.search(text) or text != text.strip():
        raise ValueError("may not hold control characters, nor begin or end with a space")
    return text


def _parse_address(text: str) -> str:
    try:
        address = ip_address(text)
    except ValueError:
        raise ValueError("expected an IP address, such as 192.0.2.7") from None
    return str(address)


def _parse_time_zone(text: str) -> str:
    parse_time_zone(text)
    return text


OWN_PARSERS: Final[Mapping[Format, Parser]] = {
    Format.ADDRESS: _parse_address,
    Format.DATABASE_URL: parse_database_url,
    Format.HOURS: parse_hours,
    Format.BASE_PATH: _parse_base_path,
    Format.LISTEN_ADDRESS: _parse_listen_address,
    Format.LISTEN_HOST: parse_listen_host,
    Format.ORIGIN: _parse_origin,
    Format.PATH: _parse_path,
    Format.SOCKET_PATH: _parse_socket_path,
    Format.TIME_ZONE: _parse_time_zone,
    Format.USER_ID: _parse_user_id,
}
"""Parsers of the formats that the configuration itself defines."""


# -- rules -------------------------------------------------------------------------------------------------------------


def _check_listen(values: ConfigValues) -> None:
    """Report a host that is given beside the addresses that replace it: one of the two is a mistake."""
    given = values.find("server", "host")
    if given is not None and values.get("server", "listen", ()):
        values.add_issue(given.source, given.key, "server.listen is given too and replaces it; remove one of them")


def _check_tls(values: ConfigValues) -> None:
    given = values.find("server", "tls_key")
    if given is not None and given.value and not values.get("server", "tls_cert", ""):
        values.add_issue(given.source, given.key, "needs server.tls_cert")


def _check_aria2_port(values: ConfigValues) -> None:
    """Report a further port that is that of the API: it serves the same paths already."""
    given = values.find("aria2", "port")
    if given is None or not given.value:
        return
    # A malformed address has been reported before.
    with suppress(ValueError):
        addresses = listen_addresses(ServerConfig(**values.table("server")))
        if any(isinstance(each, TcpAddress) and each.port == given.value for each in addresses):
            problem = "is the port of the server already, which serves these paths too; remove it"
            values.add_issue(given.source, given.key, problem)


def _check_root(values: ConfigValues) -> None:
    """Report files of the daemon itself below the storage root, where a download could overwrite them."""
    given = values.find("storage", "root")
    root, source = (StorageConfig().root, DEFAULT_SOURCE) if given is None else (given.value, given.source)
    own = [(f"server.{name}", values.get("server", name, "")) for name in _DAEMON_PATHS]
    own.extend(("server.listen", path) for path in _listen_paths(values))
    own.extend((f"downloads.{name}", values.get("downloads", name, "")) for name in ("ca_file", "netrc"))
    own.extend(
        (f"{given.key}.{name}", getattr(given.value, name) or "")
        for given in values.lists["hosts"]
        for name in ("ca_file", "client_certificate", "client_key")
    )
    for name, path in (*own, *(("the configuration", str(file)) for file in values.files)):
        # A control character has been reported before.
        if path and not CONTROL_CHARACTER.search(path + root) and _is_within(path, root):
            problem = f"{name} ({path}) lies in it, where a download could overwrite it; put one of them elsewhere"
            values.add_issue(source, "storage.root", problem)


def _listen_paths(values: ConfigValues) -> Iterator[str]:
    for text in values.get("server", "listen", ()):
        # A malformed address has been reported before.
        with suppress(ValueError):
            address = parse_listen_address(text, ServerConfig().port)
            if isinstance(address, UnixAddress):
                yield address.path


def _is_within(path: str, directory: str) -> bool:
    """Return True if `path` is `directory` or below it, once symbolic links are resolved."""
    real, around = os.path.realpath(path), os.path.realpath(directory)
    return os.path.commonpath((real, around)) == around


def _check_limits(values: ConfigValues) -> None:
    for given in values.lists["limits"]:
        _add_issues(values, given, limit_problems(given.value))


def _check_hosts(values: ConfigValues) -> None:
    hosts = _TakenNames(values, "host", "{0} has settings already, in {1}")
    for given in values.lists["hosts"]:
        _add_issues(values, given, host_problems(given.value))
        hosts.add(given, given.value.host, given.value.host)


def _check_proxies(values: ConfigValues) -> None:
    names = _TakenNames(values, "name", "{0} is taken already, by {1}")
    for given in values.lists["proxies"]:
        proxy: ProxyConfig = given.value
        _add_issues(values, given, find_user_problems(proxy.user, proxy.password))
        if "socks" in proxy.url[:5].lower() and max(len(proxy.user.encode()), len(proxy.password.encode())) > 255:
            values.add_issue(
                given.source, given.key, "user or password is longer than 255 bytes, which SOCKS cannot send"
            )
        if proxy.password and not proxy.user:
            values.add_issue(given.source, f"{given.key}.password", "is given without user")
        if proxy.user and "@" in proxy.url:
            values.add_issue(given.source, f"{given.key}.user", "is given in url too; remove it there")
        names.add(given, proxy.name, format_value(proxy.name))


def _check_credentials(values: ConfigValues) -> None:
    hosts = _TakenNames(values, "host", "{0} has credentials already, in {1}")
    for given in values.lists["credentials"]:
        _add_issues(values, given, credential_problems(given.value))
        hosts.add(given, given.value.host, given.value.host)


def _check_users(values: ConfigValues) -> None:
    ids = _TakenNames(values, "id", "{0} is taken already, by {1}")
    tokens = _TakenNames(values, "token_hash", "is that of {1}; give each its own")
    for given in values.lists["users"]:
        user: UserConfig = given.value
        ids.add(given, user.id, format_value(user.id))
        tokens.add(given, user.token_hash, "")


def _check_cluster(values: ConfigValues) -> None:
    given = values.find("cluster", "database")
    if given is not None and given.value and not values.lists["users"]:
        values.add_issue(given.source, given.key, "needs [[users]]: no first user is made beside a shared database")


def _check_directories(values: ConfigValues) -> None:
    paths = _TakenNames(values, "path", "is that of {1} already")
    known = {given.value.id for given in values.lists["users"]}
    for given in values.lists["directories"]:
        directory: DirectoryConfig = given.value
        paths.add(given, directory.path, directory.path)
        for id in () if directory.users is UNSET else directory.users:
            # Without configured users, the id of the first user is not known yet.
            if known and id not in known:
                values.add_issue(given.source, f"{given.key}.users", f"no user has the id {format_value(id)}")


def _check_hooks(values: ConfigValues) -> None:
    names = _TakenNames(values, "name", "{0} is taken already, by {1}")
    for given in values.lists["hooks"]:
        _add_issues(values, given, hook_problems(given.value))
        names.add(given, given.value.name, format_value(given.value.name))


class _TakenNames:
    """Values of a field that must be unique in a list, each with its place."""

    def __init__(self, values: ConfigValues, field: str, problem: str) -> None:
        """`problem` is a format string for the shown value and for the place of the first one."""
        self._values = values
        self._field = field
        self._problem = problem
        self._places: dict[str, str] = {}

    def add(self, given: SourcedValue, name: str, shown: str) -> None:
        """Add the value of a table; report it if an earlier table has the same."""
        if name in self._places:
            problem = self._problem.format(shown, self._places[name])
            self._values.add_issue(given.source, f"{given.key}.{self._field}", problem)
        self._places.setdefault(name, f"{given.key} of {given.source}")


def _add_issues(values: ConfigValues, given: SourcedValue, problems: Iterator[tuple[str, str]]) -> None:
    for field, problem in problems:
        values.add_issue(given.source, f"{given.key}.{field}".rstrip("."), problem)
