"""Grammar of the texts in the configuration."""

import os
import re
from collections.abc import Callable, Mapping
from ipaddress import ip_address
from typing import Any, Final

from msgspec import UnsetType
from msgspec.structs import replace

from downloadd.config.database_url import parse_database_url
from downloadd.config.fields import Format, Setting, read_settings
from downloadd.config.listen import UnixAddress, parse_listen_address, parse_listen_host
from downloadd.config.settings import ServerConfig
from downloadd.config.sources import LISTS, ConfigValues, SourcedValue, iter_settings
from downloadd.cron import parse_cron
from downloadd.hours import parse_hours, parse_time_zone

Parser = Callable[[Any], Any]
"""Returns the canonical spelling of a text, or raises ValueError with the problem."""


MAX_SOCKET_PATH_BYTES: Final = 107
"""Bytes in the path of a Unix socket: `sun_path` of Linux without the NUL (unix(7))."""
CONTROL_CHARACTER: Final = re.compile(r"[\x00-\x1f\x7f]")
"""A character that no text of the configuration may hold."""

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


def _parse_extension(text: str) -> str:
    extension = text.removeprefix(".")
    if not extension or "/" in extension or CONTROL_CHARACTER.search(extension):
        raise ValueError("expected an extension such as iso or tar.gz; leave the key out for all files")
    return extension


def _parse_time_zone(text: str) -> str:
    parse_time_zone(text)
    return text


OWN_PARSERS: Final[Mapping[Format, Parser]] = {
    Format.ADDRESS: _parse_address,
    Format.CRON: parse_cron,
    Format.DATABASE_URL: parse_database_url,
    Format.EXTENSION: _parse_extension,
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
