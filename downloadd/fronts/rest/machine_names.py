"""Names of this machine, which clients may call the server by without a setting."""

import socket
from contextlib import suppress

from downloadd.config import ServerConfig, TcpAddress, listen_addresses
from downloadd.errors import InvalidUrlError
from downloadd.policy.url import format_host, is_address, parse_host


def machine_names(server: ServerConfig) -> list[str]:
    """Return the host names of this machine, and the names that it listens on."""
    names = []
    hosts = [address.host for address in listen_addresses(server) if isinstance(address, TcpAddress)]
    for name in (*hosts, socket.gethostname(), f"{socket.gethostname().partition('.')[0]}.local"):
        # A machine may have a name that is not a valid host name.
        with suppress(InvalidUrlError):
            parsed = parse_host(format_host(name))
            if not is_address(parsed):
                names.append(parsed)
    return names
