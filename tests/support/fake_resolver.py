"""Daemon with a fake resolver, so that no test uses the name servers of the machine."""

import os
import sys
from pathlib import Path

from support.daemon_process import DaemonProcess

RESOLVER_LAUNCHER = """
import os, socket, sys
from downloadd.daemon.main import main
addresses_of = dict(pair.split("=") for pair in os.environ["HOSTS"].split())
real = socket.getaddrinfo
def resolve(host, port, *args, **options):
    if host == "127.0.0.1":
        return real(host, port, *args, **options)
    if host not in addresses_of:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    answers = addresses_of[host].split("/")
    addresses_of[host] = "/".join(answers[1:] + answers[:1])
    return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in answers[0].split(",")]
socket.getaddrinfo = resolve
del sys.argv[1:4]
main()
"""
"""Program that runs the daemon with the names of `HOSTS`; the first arguments are the command it replaces."""


def daemon_with_hosts(folder: Path, config: str, **hosts: str) -> DaemonProcess:
    """Return a daemon that resolves these names to these addresses; underscores stand for dots.

    Commas separate addresses; slashes separate the answers of successive queries.
    """
    pairs = " ".join(f"{name.replace('_', '.')}={addresses}" for name, addresses in hosts.items())
    return DaemonProcess(
        folder,
        config=config,
        launcher=(sys.executable, "-Ic", RESOLVER_LAUNCHER),
        environment={**os.environ, "HOSTS": pairs},
    )
