"""The port rules: which ports of an origin may be asked.

Below 1024 lie the services of the system, many of which obey whatever looks like a line of theirs; a request that is
talked into one of them must not be sent at all.

Pure: no I/O and no clock.
"""

import re
from collections.abc import Iterable
from typing import Final

from downloadd.config import DEFAULT_PORTS_ALLOWED
from downloadd.errors import DomainBlockedError

_RANGE: Final = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?")


class PortRules:
    """The ports of `allowed_ports`."""

    __slots__ = ("_ranges",)

    def __init__(self, allowed_ports: Iterable[int | str] = DEFAULT_PORTS_ALLOWED) -> None:
        """Reads ports such as `80` and ranges such as `1024-65535`, both ends included.

        Raises:
            ValueError: one of them is neither; says which and why.
        """
        self._ranges = tuple(_parse_range(text) for text in allowed_ports)

    def allows_port(self, port: int) -> bool:
        """Whether a port is in the list."""
        return any(first <= port <= last for first, last in self._ranges)

    def check_port(self, port: int) -> None:
        """Passes a port that is in the list.

        Raises:
            DomainBlockedError: it is not.
        """
        if not self.allows_port(port):
            raise DomainBlockedError(f"port {port} is not among the allowed ports (downloads.allowed_ports)")


def _parse_range(text: int | str) -> tuple[int, int]:
    found = _RANGE.fullmatch(str(text).replace(" ", ""))
    if found is None:
        raise ValueError(f"{text!r} is no port: write it like 443 or '1024-65535'")
    first = int(found[1])
    last = first if found[2] is None else int(found[2])
    if not 0 < first <= last <= 65535:
        raise ValueError(f"{text!r} is no port: expected 1 to 65535, the lower one first")
    return first, last
