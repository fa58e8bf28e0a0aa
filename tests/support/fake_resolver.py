"""Name servers of the test's own for the daemon, so that no test asks those of the machine."""

import os
import sys
from pathlib import Path

from support.daemon_process import DaemonProcess

RESOLVER_LAUNCHER = """
import os, socket, sys
from downloadd.daemon.main import main
known = dict(pair.split("=") for pair in os.environ["HOSTS"].split())
real = socket.getaddrinfo
def resolve(host, port, *args, **options):
    if host == "127.0.0.1":
        return real(host, port, *args, **options)
    if host not in known:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    answers = known[host].split("/")
    known[host] = "/".join(answers[1:] + answers[:1])
    return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in answers[0].split(",")]
socket.getaddrinfo = resolve
del sys.argv[1:4]
main()
"""
"""The daemon, with name servers that know what `HOSTS` says; what it executes in place of is in its arguments."""


def daemon_with_hosts(folder: Path, config: str, **hosts: str) -> DaemonProcess:
    """A daemon for which these names have these addresses; underscores stand for dots.

    Addresses are separated by commas, answers that are given in turn by slashes.
    """
    known = " ".join(f"{name.replace('_', '.')}={addresses}" for name, addresses in hosts.items())
    return DaemonProcess(
        folder,
        config=config,
        launcher=(sys.executable, "-Ic", RESOLVER_LAUNCHER),
        environment={**os.environ, "HOSTS": known},
    )
