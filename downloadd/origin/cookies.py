"""Cookie jar of one download (RFC 6265, sections 5.1 to 5.4), with the name prefixes of its revision.

Cookies are for the redirects and ranges of one download: nothing is stored, and nothing is shared with other downloads.
Pure: no I/O; the time comes from the caller.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Final

import msgspec

from downloadd.errors import InvalidUrlError
from downloadd.origin.cookie_dates import parse_cookie_date
from downloadd.policy.url import ParsedUrl, is_address, parse_host
from downloadd.request_fields import INVALID_IN_VALUE

MAX_COOKIE_BYTES: Final = 4096
"""Bytes of name and value of one cookie."""
MAX_COOKIES_PER_DOMAIN: Final = 50
MAX_COOKIES: Final = 3000
MAX_SENT_BYTES: Final = 64 * 1024
"""Bytes of all cookies of a request; most servers refuse more than 8 to 64 KiB."""

_MAX_AGE: Final = re.compile(r"-?[0-9]+")
_MAX_AGE_DIGITS: Final = 10
_SECURE_PREFIX: Final = "__secure-"
_HOST_PREFIX: Final = "__host-"


class Cookie(msgspec.Struct, frozen=True, kw_only=True):
    """One cookie, as section 5.3 stores it."""

    name: str
    value: str
    domain: str
    is_host_only: bool
    """True for a cookie that goes to the host `domain` alone, and not to its subdomains."""
    path: str
    is_secure: bool
    expires: float | None
    """Unix time; None for a cookie without an end."""

    def __repr__(self) -> str:
        """Return the domain only, so that no log or traceback shows a secret."""
        return f"Cookie(domain={self.domain!r}, ...)"

    @property
    def key(self) -> tuple[str, str, str]:
        """A later cookie with the same one replaces it."""
        return self.domain, self.path, self.name


class CookieJar:
    """Cookies that the responses of one download have set."""

    def __init__(self, *, is_public_suffix: Callable[[str], bool], now: Callable[[], float]) -> None:
        """Make an empty jar.

        Args:
            is_public_suffix: returns True for a domain below which hosts of different owners lie.
            now: returns the Unix time.
        """
        self._is_public_suffix = is_public_suffix
        self._now = now
        # In the order of creation.
        self._cookies: dict[tuple[str, str, str], Cookie] = {}

    def __len__(self) -> int:
        """Return the number of cookies, expired ones included."""
        return len(self._cookies)

    def store(self, url: ParsedUrl, lines: Iterable[str]) -> None:
        """Store the cookies of a response; `lines` are those of Set-Cookie."""
        for line in lines:
            cookie = parse_set_cookie(line, url, now=self._now(), is_public_suffix=self._is_public_suffix)
            if cookie is not None and not self._hides_secure_one(cookie, url):
                self._add(cookie)

    def select(self, url: ParsedUrl) -> list[tuple[str, str]]:
        """Return names and values of the cookies for a request, in the order of section 5.4."""
        self._remove_expired()
        path = _path_of(url)
        matching = [
            cookie
            for cookie in self._cookies.values()
            if (url.host == cookie.domain if cookie.is_host_only else matches_domain(url.host, cookie.domain))
            and matches_path(path, cookie.path)
            and (url.scheme == "https" or not cookie.is_secure)
        ]
        # The sort keeps the order of creation among equals.
        matching.sort(key=lambda cookie: -len(cookie.path))
        return list(_fitting((cookie.name, cookie.value) for cookie in matching))

    def _add(self, cookie: Cookie) -> None:
        if cookie.expires is not None and cookie.expires <= self._now():
            self._cookies.pop(cookie.key, None)
            return
        self._cookies[cookie.key] = cookie
        self._remove_expired()
        same_domain = [key for key in self._cookies if key[0] == cookie.domain]
        if len(same_domain) > MAX_COOKIES_PER_DOMAIN:
            del self._cookies[same_domain[0]]
        if len(self._cookies) > MAX_COOKIES:
            del self._cookies[next(iter(self._cookies))]

    def _remove_expired(self) -> None:
        now = self._now()
        for key in [
            key for key, cookie in self._cookies.items() if cookie.expires is not None and cookie.expires <= now
        ]:
            del self._cookies[key]

    def _hides_secure_one(self, cookie: Cookie, url: ParsedUrl) -> bool:
        """Return True if a response without TLS would replace or hide a cookie that needs it."""
        return url.scheme != "https" and any(
            other.is_secure
            and other.name == cookie.name
            and (matches_domain(cookie.domain, other.domain) or matches_domain(other.domain, cookie.domain))
            and matches_path(cookie.path, other.path)
            for other in self._cookies.values()
        )


def parse_set_cookie(
    line: str, url: ParsedUrl, *, now: float, is_public_suffix: Callable[[str], bool]
) -> Cookie | None:
    """Return the cookie that a line of Set-Cookie sets; None if it is malformed or may not be set (section 5.3).

    Args:
        line: value of the field.
        url: the URL of the request.
        now: Unix time.
        is_public_suffix: returns True for a domain below which hosts of different owners lie.
    """
    if INVALID_IN_VALUE.search(line):
        return None
    pair, _, rest = line.partition(";")
    name, equals, value = pair.partition("=")
    name, value = name.strip(" \t"), value.strip(" \t")
    if not equals or not name or len(name.encode()) + len(value.encode()) > MAX_COOKIE_BYTES:
        return None
    attributes = _parse_attributes(rest)
    place = _find_domain(attributes.get("domain", ""), url.host, is_public_suffix)
    if place is None:
        return None
    path = attributes.get("path", "")
    cookie = Cookie(
        name=name,
        value=value,
        domain=place[0],
        is_host_only=place[1],
        path=path if path.startswith("/") else default_path(_path_of(url)),
        is_secure="secure" in attributes,
        expires=_find_end(attributes, now),
    )
    return cookie if _may_set(cookie, attributes, is_tls=url.scheme == "https") else None


def matches_domain(host: str, domain: str) -> bool:
    """Return True if a host domain-matches a cookie domain (section 5.1.3)."""
    return host == domain or (host.endswith(f".{domain}") and not is_address(host))


def matches_path(path: str, cookie_path: str) -> bool:
    """Return True if the path of a request path-matches that of a cookie (section 5.1.4)."""
    if not path.startswith(cookie_path):
        return False
    return len(path) == len(cookie_path) or cookie_path.endswith("/") or path[len(cookie_path)] == "/"


def default_path(path: str) -> str:
    """Return the path of a cookie that states none (section 5.1.4)."""
    return path[: path.rindex("/")] or "/" if path.startswith("/") else "/"


def _fitting(pairs: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Yield pairs up to the limit of all bytes."""
    size = 0
    for name, value in pairs:
        size += len(name.encode()) + len(value.encode()) + len("=; ")
        if size > MAX_SENT_BYTES:
            return
        yield name, value


def _path_of(url: ParsedUrl) -> str:
    return url.request_target.partition("?")[0]


def _parse_attributes(text: str) -> dict[str, str]:
    """Return the attributes by name in lower case; of several with a name, the last one counts (section 5.2)."""
    pairs = (part.partition("=") for part in text.split(";"))
    return {name.strip(" \t").lower(): value.strip(" \t") for name, _, value in pairs}


def _find_domain(attribute: str, host: str, is_public_suffix: Callable[[str], bool]) -> tuple[str, bool] | None:
    """Return the domain, and True if the cookie is for this host alone; None if it may not be set."""
    attribute = attribute.removeprefix(".")
    if not attribute:
        return host, True
    try:
        domain = parse_host(attribute)
    except InvalidUrlError:
        return None
    if is_address(domain) or is_public_suffix(domain):
        return (host, True) if domain == host else None
    return (domain, False) if matches_domain(host, domain) else None


def _find_end(attributes: dict[str, str], now: float) -> float | None:
    age = attributes.get("max-age", "")
    if _MAX_AGE.fullmatch(age):
        return now + max(0, int(age[: 1 + _MAX_AGE_DIGITS]))
    return parse_cookie_date(attributes.get("expires", ""))


def _may_set(cookie: Cookie, attributes: dict[str, str], *, is_tls: bool) -> bool:
    """Return True if the origin may set such a cookie (section 5.7 of the revision of RFC 6265)."""
    if cookie.is_secure and not is_tls:
        return False
    name = cookie.name.lower()
    if name.startswith((_SECURE_PREFIX, _HOST_PREFIX)) and not cookie.is_secure:
        return False
    return not name.startswith(_HOST_PREFIX) or ("domain" not in attributes and attributes.get("path") == "/")
