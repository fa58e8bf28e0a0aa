"""Rules of the configuration that concern several values."""

import os
import re
from base64 import b64decode
from collections.abc import Iterator
from contextlib import suppress
from typing import Final
from urllib.parse import urlsplit

from msgspec import UNSET

from downloadd.config.conversion import format_value
from downloadd.config.formats import CONTROL_CHARACTER
from downloadd.config.hook_settings import SIGNING_KEY_COMMAND, SIGNING_PREFIX, HookAction, HookConfig
from downloadd.config.limit_settings import LimitConfig
from downloadd.config.list_settings import CredentialConfig, DirectoryConfig, HostConfig, ProxyConfig, UserConfig
from downloadd.config.listen import (
    TcpAddress,
    UnixAddress,
    listen_addresses,
    parse_listen_address,
)
from downloadd.config.rule_settings import RuleConfig
from downloadd.config.schedule_settings import ScheduleConfig
from downloadd.config.settings import ServerConfig, StorageConfig
from downloadd.config.sources import ConfigValues, SourcedValue
from downloadd.config.storage_checks import find_enclosing, is_inside, storage_problems
from downloadd.config.storage_settings import RemoteStorageConfig
from downloadd.config.watch_settings import WatchConfig
from downloadd.request_fields import RequestFields, find_user_problems
from downloadd.states import State
from downloadd.tls import check_client_certificate

DEFAULT_SOURCE: Final = "default"
"""Source of values that no file, variable or flag gives."""

_MIN_SIGNING_KEY_BYTES: Final = 24
_MAX_SIGNING_KEY_BYTES: Final = 64
_DAEMON_PATHS: Final = ("state_dir", "unix_socket", "tls_cert", "tls_key")
"""Settings of `[server]` that name files of the daemon itself."""
_INVALID_IN_URL: Final = re.compile(r"[\x00-\x20\x7f]")


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
    check_users(values)
    _check_directories(values)
    _check_schedules(values)
    _check_hooks(values)
    _check_watch(values)
    _check_rules(values)
    _check_storages(values)


def check_users(values: ConfigValues) -> None:
    """Check that ids and tokens of users are not repeated."""
    ids = _TakenNames(values, "id", "{0} is taken already, by {1}")
    tokens = _TakenNames(values, "token_hash", "is that of {1}; give each its own")
    for given in values.lists["users"]:
        user: UserConfig = given.value
        ids.add(given, user.id, format_value(user.id))
        tokens.add(given, user.token_hash, "")


def decode_secret(secret: str) -> bytes | None:
    """Return the key in the secret of a webhook (Standard Webhooks specification); None if it is malformed."""
    if not secret.startswith(SIGNING_PREFIX):
        return None
    try:
        key = b64decode(secret.removeprefix(SIGNING_PREFIX), validate=True)
    except ValueError:
        return None
    return key if _MIN_SIGNING_KEY_BYTES <= len(key) <= _MAX_SIGNING_KEY_BYTES else None


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
    own.extend((f"{each.key}.credentials_file", each.value.credentials_file) for each in values.lists["storages"])
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
        _add_issues(values, given, _limit_problems(given.value))


def _check_hosts(values: ConfigValues) -> None:
    hosts = _TakenNames(values, "host", "{0} has settings already, in {1}")
    for given in values.lists["hosts"]:
        _add_issues(values, given, _host_problems(given.value))
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
        _add_issues(values, given, _credential_problems(given.value))
        hosts.add(given, given.value.host, given.value.host)


def _check_directories(values: ConfigValues) -> None:
    paths = _TakenNames(values, "path", "is that of {1} already")
    for given in values.lists["directories"]:
        paths.add(given, given.value.path, given.value.path)


def _check_schedules(values: ConfigValues) -> None:
    names = _TakenNames(values, "name", "{0} is taken already, by {1}")
    for given in values.lists["schedules"]:
        schedule: ScheduleConfig = given.value
        _add_issues(values, given, _schedule_problems(schedule))
        names.add(given, schedule.name, format_value(schedule.name))


def _check_hooks(values: ConfigValues) -> None:
    names = _TakenNames(values, "name", "{0} is taken already, by {1}")
    for given in values.lists["hooks"]:
        _add_issues(values, given, _hook_problems(given.value))
        names.add(given, given.value.name, format_value(given.value.name))


def _check_watch(values: ConfigValues) -> None:
    paths = _TakenNames(values, "path", "is watched already, by {1}")
    users = _TakenNames(values, "user", "{0} is that of {1} already; give each folder its own")
    known = {given.value.id for given in values.lists["users"]}
    root = values.get("storage", "root", StorageConfig().root)
    for given in values.lists["watch"]:
        watch: WatchConfig = given.value
        # A control character has been reported before.
        if not CONTROL_CHARACTER.search(watch.path + root):
            paths.add(given, os.path.realpath(watch.path), watch.path)
            _add_issues(values, given, _watch_problems(watch, root))
        users.add(given, watch.user, format_value(watch.user))
        if watch.user in known:
            problem = f"{format_value(watch.user)} is a user of the API; choose another name"
            values.add_issue(given.source, f"{given.key}.user", problem)


def _check_rules(values: ConfigValues) -> None:
    names = _TakenNames(values, "name", "{0} is taken already, by {1}")
    proxies = {given.value.name for given in values.lists["proxies"]}
    for given in values.lists["rules"]:
        rule: RuleConfig = given.value
        names.add(given, rule.name, format_value(rule.name))
        if rule.proxy and rule.proxy not in proxies:
            values.add_issue(given.source, f"{given.key}.proxy", f"no proxy has the name {format_value(rule.proxy)}")
        _add_issues(values, given, _rule_problems(rule))


def _check_storages(values: ConfigValues) -> None:
    paths = _TakenNames(values, "path", "is that of {1} already")
    given_paths = [given.value.path for given in values.lists["storages"]]
    for given in values.lists["storages"]:
        storage: RemoteStorageConfig = given.value
        _add_issues(values, given, storage_problems(storage))
        paths.add(given, storage.path, storage.path)
        around = find_enclosing(storage.path, given_paths)
        if around is not None:
            problem = f"lies in {format_value(around)}, which is another storage; choose directories side by side"
            values.add_issue(given.source, f"{given.key}.path", problem)
    for given in values.lists["directories"]:
        directory: DirectoryConfig = given.value
        if directory.quota is not UNSET and is_inside(directory.path, given_paths):
            problem = "cannot be counted on another machine; limit it there, and the disk by storages.staging_size"
            values.add_issue(given.source, f"{given.key}.quota", problem)


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


def _limit_problems(limit: LimitConfig) -> Iterator[tuple[str, str]]:
    """Yield field and problem of limits that limit nothing."""
    if limit.speed_limit is UNSET and limit.max_concurrent is UNSET and limit.allow_starts:
        yield ("", "has no limit: give it speed_limit, max_concurrent, or allow_starts = false")


def _rule_problems(rule: RuleConfig) -> Iterator[tuple[str, str]]:
    """Yield field and problem of a rule that no response can meet, or that would decide too late."""
    if rule.max_size and rule.max_size < rule.min_size:
        yield ("max_size", "is less than min_size, so that no file has a size between them")
    for field, is_given in (("proxy", bool(rule.proxy)), ("timeout", rule.timeout is not UNSET)):
        if rule.needs_response and is_given:
            conditions = "types, min_size and max_size are known only when the origin has answered"
            yield (field, f"is needed before that: {conditions}; give it in a rule without them")


def _schedule_problems(schedule: ScheduleConfig) -> Iterator[tuple[str, str]]:
    """Yield field and problem of a schedule without a file."""
    if not _is_webhook_url(schedule.url):
        yield ("url", "expected an http:// or https:// URL")
    elif not schedule.filename and not urlsplit(schedule.url).path.rpartition("/")[2]:
        yield ("filename", "is missing, and the URL does not end with a name")


def _host_problems(host: HostConfig) -> Iterator[tuple[str, str]]:
    """Yield field and problem of settings of a host that cannot be applied."""
    if host == HostConfig(host=host.host):
        yield ("", "has no settings but the host; give it one, such as ca_file or slots")
    if host.client_certificate is UNSET:
        if host.client_key is not UNSET:
            yield ("client_key", "is given without client_certificate")
    elif not CONTROL_CHARACTER.search(host.client_certificate + (host.client_key or "")):
        try:
            check_client_certificate(host.client_certificate, host.client_key or "")
        except ValueError as error:
            yield ("client_certificate", str(error))
    if host.bind_address is not UNSET and host.address_family != "any":
        family = "ipv6" if ":" in host.bind_address else "ipv4"
        if family != host.address_family:
            yield ("bind_address", f"is an address of {family}, but address_family is {host.address_family}")


def _watch_problems(watch: WatchConfig, root: str) -> Iterator[tuple[str, str]]:
    """Yield field and problem of a folder that cannot be watched."""
    if not os.path.isabs(watch.path):
        yield ("path", "expected an absolute path, such as /srv/incoming")
    elif _is_within(watch.path, root):
        yield ("path", "lies in storage.root, where a download could save a file that is imported; move it elsewhere")


def _credential_problems(credential: CredentialConfig) -> Iterator[tuple[str, str]]:
    """Yield field and problem of what cannot be sent to an origin."""
    fields, problems = credential.collect()
    if fields == RequestFields() and not problems and not credential.user:
        yield ("", "has nothing to send: give it headers, cookies, referer or user_agent, or user and password")
    if credential.password and not credential.user:
        yield ("password", "is given without user")
    if credential.user and fields.has_header("authorization"):
        yield ("", "has both user and an Authorization header; only one of them can be sent")
    yield from problems
    yield from find_user_problems(credential.user, credential.password)


def _hook_problems(hook: HookConfig) -> Iterator[tuple[str, str]]:
    """Yield field and problem of a hook that cannot deliver."""
    if hook.action is None:
        yield ("", f"expected one of {', '.join(HookAction)}: a hook does one thing")
    if hook.url:
        if not _is_webhook_url(hook.url):
            yield ("url", "expected an http:// or https:// URL")
        if decode_secret(hook.secret) is None:
            expected = f"{_MIN_SIGNING_KEY_BYTES} to {_MAX_SIGNING_KEY_BYTES} bytes in Base64"
            yield ("secret", f"expected {SIGNING_PREFIX} and {expected}, as `{SIGNING_KEY_COMMAND}` prints")
    elif hook.secret:
        yield ("secret", "is given without url")
    if hook.command and (not hook.command[0] or any("\0" in word for word in hook.command)):
        yield ("command", "expected a program and its arguments, without NUL")
    if hook.needs_file and State.COMPLETED not in hook.events:
        yield ("events", "expected completed among them: only such a download has a file")


def _is_webhook_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        is_complete = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    return is_complete and not _INVALID_IN_URL.search(text)
