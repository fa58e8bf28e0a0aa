"""Configuration of the process: the loader with the formats of the packages that apply the settings."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from downloadd.config import Flags, Format, LoadedConfig, load_config
from downloadd.errors import InvalidParameterError, InvalidPathError, InvalidUrlError
from downloadd.imports.importers import IMPORTERS
from downloadd.media_types import parse_expected_type
from downloadd.origin.netrc_logins import read_netrc
from downloadd.policy.addresses import AddressRules
from downloadd.policy.domains import DomainRules
from downloadd.policy.origin_proxies import ProxyHosts
from downloadd.policy.ports import PortRules
from downloadd.policy.proxies import TrustedProxies
from downloadd.policy.proxy_url import parse_proxy_url
from downloadd.policy.url import parse_host
from downloadd.storage.names import parse_directory, parse_filename
from downloadd.storage.objects.location import parse_endpoint, parse_object_url, parse_region
from downloadd.storage.owners import resolve_owner
from downloadd.storage.path_template import PLACEHOLDERS, check_path_template, fill_path_template
from downloadd.storage.sftp.location import parse_sftp_url
from downloadd.tls import check_ca_file


def read_config(
    *,
    file: Path | None,
    environment: Mapping[str, str],
    flags: Flags | None = None,
    aria2_conf: Path | None = None,
) -> LoadedConfig:
    """Return the configuration of file, environment and flags, and of an `aria2.conf`. Blocks.

    Raises:
        ConfigError: the configuration has mistakes; says all of them.
    """
    return load_config(file=file, environment=environment, flags=flags, aria2_conf=aria2_conf, parsers=PARSERS)


def _accept(rules: Callable[[Iterable[Any]], object]) -> Callable[[Any], Any]:
    """Return a parser that accepts a text if `rules` does, and leaves it as it is."""

    def parse(text: Any) -> Any:
        rules((text,))
        return text

    return parse


def _parse_filename(text: str) -> str:
    try:
        return str(parse_filename(text)) if text else ""
    except InvalidPathError as error:
        raise ValueError(error.detail) from error


def _parse_host(text: str) -> str:
    try:
        return parse_host(text)
    except InvalidUrlError as error:
        raise ValueError(f"expected a host alone: {error.detail}") from error


def _parse_ca_file(text: str) -> str:
    if text:
        check_ca_file(text)
    return text


def _parse_proxy_url(text: str) -> str:
    parse_proxy_url(text)
    return text


def _parse_netrc(text: str) -> str:
    if text:
        read_netrc(text)
    return text


def _parse_importer(text: str) -> str:
    if text and text not in IMPORTERS:
        raise ValueError(f"expected one of {', '.join(IMPORTERS)}")
    return text


def _parse_media_range(text: str) -> str:
    try:
        return parse_expected_type(text)
    except InvalidParameterError:
        raise ValueError("expected a media type such as image/png, or a range such as video/*") from None


def _parse_path_template(text: str) -> str:
    if text:
        check_path_template(text)
        if not text.startswith("/"):
            raise ValueError("expected an absolute path, such as /srv/archive")
    return text


def _parse_directory_template(text: str) -> str:
    if text:
        check_path_template(text)
        _parse_directory(fill_path_template(text, dict.fromkeys(PLACEHOLDERS, "x")))
    return text


def _parse_directory(text: str) -> str:
    try:
        return parse_directory(text)
    except InvalidPathError as error:
        raise ValueError(error.detail) from error


def _parse_remote_url(text: str) -> str:
    if text.startswith("sftp:"):
        return parse_sftp_url(text).url
    bucket, prefix = parse_object_url(text)
    return f"s3://{bucket}/{prefix}".rstrip("/")


def _parse_endpoint(text: str) -> str:
    return parse_endpoint(text) if text else ""


PARSERS: Final[Mapping[Format, Callable[[Any], Any]]] = {
    Format.CA_FILE: _parse_ca_file,
    Format.DIRECTORY: _parse_directory,
    Format.DIRECTORY_TEMPLATE: _parse_directory_template,
    Format.DOMAIN: _accept(DomainRules),
    Format.ENDPOINT: _parse_endpoint,
    Format.FILENAME: _parse_filename,
    Format.HOST: _parse_host,
    Format.IMPORTER: _parse_importer,
    Format.MEDIA_RANGE: _parse_media_range,
    Format.NETRC: _parse_netrc,
    Format.NETWORK: _accept(AddressRules),
    Format.OWNER: resolve_owner,
    Format.PATH_TEMPLATE: _parse_path_template,
    Format.PORTS: _accept(PortRules),
    Format.PROXY: _accept(TrustedProxies),
    Format.PROXY_HOSTS: _accept(ProxyHosts),
    Format.PROXY_URL: _parse_proxy_url,
    Format.REGION: parse_region,
    Format.REMOTE_URL: _parse_remote_url,
}
"""Parsers of the formats that `policy`, `origin`, `storage` and `imports` define."""
