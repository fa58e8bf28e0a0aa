"""Ports for servers that cannot listen on port 0 and say which port they got."""

import random
import socket
from functools import cache
from pathlib import Path
from typing import Final

_LOWEST: Final = 20_000
"""Above the ports of well-known services, and above those that browsers refuse."""
_HIGHEST: Final = 65_535
_LOCAL_RANGE: Final = Path("/proc/sys/net/ipv4/ip_local_port_range")

# pytest-randomly gives each worker the same seed.
_dice: Final = random.SystemRandom()


@cache
def local_ports() -> range:
    """Return the ports from which the kernel chooses those of connections, and those for port 0."""
    first, last = _LOCAL_RANGE.read_text().split()
    return range(int(first), int(last) + 1)


def free_port() -> int:
    """Return a free port that the kernel gives to no other socket until the server listens on it."""
    ports = range(_LOWEST, _HIGHEST + 1)
    # The range of the kernel may be all of them.
    choices = [port for port in ports if port not in local_ports()] or ports
    while True:
        port = _dice.choice(choices)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
