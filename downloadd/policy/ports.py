"""Port rules: the ports of an origin that may be connected to.

Many services on ports below 1024 execute every line that looks like a command of theirs. A request that a client
directs at one of them must not be sent.

Pure: no I/O and no clock.
"""

import re
from collections.abc import Iterable
from typing import Final

from downloadd.config import DEFAULT_PORTS_ALLOWED
from downloadd.errors import DomainBlockedError

_RANGE: Final = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?")


class PortRules:
    """Rules for ports: those of `allowed_ports`."""

    __slots__ = ("_ranges",)

    def __init__(self, allowed_ports: Iterable[int | str] = DEFAULT_PORTS_ALLOWED) -> None:
        """Parse ports such as `80` and ranges such as `1024-65535`, both ends included.

        Raises:
            ValueError: one of them is neither; says which and why.
        """
        self._ranges = tuple(_parse_range(text) for text in allowed_ports)

    def allows_port(self, port: int) -> bool:
        """Return True if a port is allowed."""
        return any(first <= port <= last for first, last in self._ranges)

    def check_port(self, port: int) -> None:
        """Raise an error unless a port is allowed.

        Raises:
            DomainBlockedError: it is not allowed.
        """
        if not self.allows_port(port):
            raise DomainBlockedError(f"port {port} is not among the allowed ports (downloads.allowed_ports)")


def _parse_range(text: int | str) -> tuple[int, int]:
    found = _RANGE.fullmatch(str(text).replace(" ", ""))
    if found is None:
        raise ValueError(f"{text!r} is not a port: write it like 443 or '1024-65535'")
    first = int(found[1])
    last = first if found[2] is None else int(found[2])
    if not 0 < first <= last <= 65535:
        raise ValueError(f"{text!r} is not a port: expected 1 to 65535, the lower one first")
    return first, last
