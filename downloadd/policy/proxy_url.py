"""URLs of proxies for origins.

Pure: no I/O and no clock.
"""

import re
from typing import Final
from urllib.parse import unquote, urlsplit

import msgspec

from downloadd.errors import InvalidUrlError
from downloadd.policy.url import format_host, parse_host
from downloadd.request_fields import Credentials, find_user_problems

DEFAULT_PROXY_PORTS: Final = {"http": 80, "https": 443, "socks5": 1080, "socks5h": 1080}
"""Ports by scheme; `socks5h` is SOCKS 5 with names that the proxy resolves."""
MAX_SOCKS_BYTES: Final = 255
"""Bytes of user and of password in SOCKS 5 (RFC 1929, section 2)."""

_INVALID: Final = re.compile(r"[\x00-\x20\x7f-\U0010ffff]")


class ProxyUrl(msgspec.Struct, frozen=True, kw_only=True):
    """A proxy and its credentials."""

    scheme: str
    host: str
    """In the spelling of `parse_host`."""
    port: int
    user: Credentials | None = None

    @property
    def text(self) -> str:
        """The URL without credentials."""
        return f"{self.scheme}://{format_host(self.host)}:{self.port}"


def parse_proxy_url(text: str) -> ProxyUrl:
    """Parse the URL of a proxy, such as `socks5://127.0.0.1:1080`.

    Raises:
        ValueError: it is malformed; the message holds no part of it.
    """
    if _INVALID.search(text):
        raise ValueError("holds a space, a control character or one that is not ASCII")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise ValueError("is not the URL of a proxy, such as http://proxy.example.com:3128") from None
    if parts.scheme not in DEFAULT_PROXY_PORTS:
        raise ValueError(f"must begin with one of {', '.join(f'{scheme}://' for scheme in DEFAULT_PROXY_PORTS)}")
    if parts.path not in {"", "/"} or parts.query or parts.fragment or port == 0:
        raise ValueError("expected scheme, host and port alone, such as http://proxy.example.com:3128")
    try:
        host = parse_host(format_host(parts.hostname or ""))
    except InvalidUrlError as error:
        raise ValueError(error.detail.replace("the URL", "it")) from None
    user = None
    if parts.username is not None:
        user = Credentials(user=unquote(parts.username), password=unquote(parts.password or ""))
        for field, problem in find_proxy_user_problems(parts.scheme, user.user, user.password):
            raise ValueError(f"{field} {problem}")
    return ProxyUrl(scheme=parts.scheme, host=host, port=port or DEFAULT_PROXY_PORTS[parts.scheme], user=user)


def find_proxy_user_problems(scheme: str, user: str, password: str) -> list[tuple[str, str]]:
    """Return `user` or `password` with its problem if the proxy cannot get it."""
    problems = list(find_user_problems(user, password))
    if scheme.startswith("socks"):
        problems += [
            (name, f"is longer than {MAX_SOCKS_BYTES} bytes, which SOCKS cannot send")
            for name, text in (("user", user), ("password", password))
            if len(text.encode("utf-8", "surrogatepass")) > MAX_SOCKS_BYTES
        ]
    return problems
