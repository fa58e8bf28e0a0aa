"""Ports for servers that must know their port before they listen, and ports where nothing listens."""

import errno
import itertools
import os
import random
import socket
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

_LOWEST: Final = 20_000
"""Above the ports of well-known services, and above those that browsers refuse."""
_HIGHEST: Final = 65_535
_LOCAL_RANGE: Final = Path("/proc/sys/net/ipv4/ip_local_port_range")
_WILDCARDS: Final = ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::"))

# pytest-randomly gives each worker the same seed.
_dice: Final = random.SystemRandom()


@cache
def local_ports() -> range:
    """Return the ports from which the kernel chooses those of connections, and those for port 0."""
    first, last = _LOCAL_RANGE.read_text().split()
    return range(int(first), int(last) + 1)


def free_port() -> int:
    """Return a port that is free at all addresses, and that the kernel gives to no other socket.

    No other worker of the run gets it, and this worker gets it again only after all others. A port that the kernel
    chose for one address may be in use at another, or is given to another program as soon as its server ends.
    """
    return next(port for port in _candidates() if is_free(port))


def is_free(port: int) -> bool:
    """Return True if no socket is bound to the port, at any address."""
    for family, wildcard in _WILDCARDS:
        try:
            with socket.socket(family) as probe:
                if family == socket.AF_INET6:
                    probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                probe.bind((wildcard, port))
        except OSError as error:
            # Other errors are those of a machine without IPv6.
            if error.errno == errno.EADDRINUSE:
                return False
    return True


def ports_of_worker(worker: str, count: int) -> list[int]:
    """Return the ports that a worker of pytest-xdist may use: `gw0` and so on, and empty for a run without workers."""
    ports = range(_LOWEST, _HIGHEST + 1)
    # The range of the kernel may be all of them.
    choices = [port for port in ports if port not in local_ports()] or list(ports)
    return choices[int(worker.removeprefix("gw") or 0) :: count]


@cache
def _candidates() -> Iterator[int]:
    variables = os.environ
    ports = ports_of_worker(
        variables.get("PYTEST_XDIST_WORKER", ""), int(variables.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    )
    _dice.shuffle(ports)
    return itertools.cycle(ports)
