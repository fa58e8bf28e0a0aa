"""Domain rules: the hosts that may be requested.

Pure: no I/O and no clock.
"""

from collections.abc import Iterable

from downloadd.errors import DomainBlockedError, InvalidUrlError
from downloadd.policy.url import is_address, parse_host


class DomainRules:
    """Rules for hosts: those of `allowed_domains`, or all if it is empty.

    `example.com` stands for that host only, `*.example.com` for its subdomains at any depth and not itself. An IP
    address is allowed if it is listed itself. Patterns may have any spelling that a URL may have; the canonical
    spellings are compared.
    """

    __slots__ = ("_hosts", "_parents")

    def __init__(self, allowed_domains: Iterable[str] = ()) -> None:
        """Parse the patterns.

        Raises:
            ValueError: one of them is not a pattern; says which and why.
        """
        hosts: set[str] = set()
        parents: set[str] = set()
        for pattern in allowed_domains:
            if pattern.startswith("*."):
                parents.add(_parse_parent(pattern))
            else:
                hosts.add(_parse_pattern(pattern, pattern))
        self._hosts = frozenset(hosts)
        self._parents = frozenset(parents)

    def allows_host(self, host: str) -> bool:
        """Return True if `host`, in the spelling of `parse_host`, is allowed."""
        if host in self._hosts or not (self._hosts or self._parents):
            return True
        _, _, parent = host.partition(".")
        while parent:
            if parent in self._parents:
                return True
            _, _, parent = parent.partition(".")
        return False

    def check_host(self, host: str) -> None:
        """Raise an error unless a host is allowed.

        Raises:
            DomainBlockedError: it is not allowed.
        """
        if not self.allows_host(host):
            raise DomainBlockedError(f"the host {host} is not among the allowed domains (downloads.allowed_domains)")


def _parse_parent(pattern: str) -> str:
    parent = _parse_pattern(pattern[2:], pattern)
    if is_address(parent):
        raise ValueError(f"{pattern!r} is not a domain: an IP address has no subdomains")
    return parent


def _parse_pattern(text: str, pattern: str) -> str:
    if text == "*":
        raise ValueError("'*' is not a domain: leave the list empty to allow every host")
    if "://" in text or "/" in text:
        raise ValueError(f"{pattern!r} is not a domain: write the host alone, without scheme and path")
    if "*" in text:
        raise ValueError(f"{pattern!r} is not a domain: a * may only stand at the start, as in '*.example.com'")
    if text.count(":") > 1 and not text.startswith("["):
        text = f"[{text}]"
    elif ":" in text.rpartition("]")[2]:
        raise ValueError(f"{pattern!r} is not a domain: write the host alone, without a port")
    try:
        return parse_host(text)
    except InvalidUrlError as error:
        reason = error.detail.replace(" of the URL", "").replace("the URL has no host", "it is empty")
        raise ValueError(f"{pattern!r} is not a domain: {reason}") from None
