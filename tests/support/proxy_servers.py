"""Real proxies on free ports of 127.0.0.1."""

import shutil
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from support.ports import free_port
from support.waiting import wait_until_true

TINYPROXY_CONFIG = """
Port {port}
Listen 127.0.0.1
Timeout 60
Allow 127.0.0.1
MaxClients 50
LogFile "{folder}/tinyproxy.log"
LogLevel Connect
{lines}
"""


@contextmanager
def run_server(command: Sequence[str], port: int) -> Iterator[None]:
    """Run a server until the block ends; wait until its port accepts connections."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def accepts() -> bool:
        assert process.poll() is None, f"{command[0]} has ended"
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    try:
        wait_until_true(accepts)
        yield
    finally:
        process.terminate()
        process.wait()


class HttpProxy:
    """A running tinyproxy.

    Attributes:
        port: its port.
    """

    def __init__(self, port: int, log: Path) -> None:
        self.port = port
        self._log = log

    def requests(self) -> list[str]:
        """Return the request lines that it has logged."""
        lines = self._log.read_text().splitlines()
        return [line.partition("): ")[2] for line in lines if "Request (file descriptor" in line]


@contextmanager
def run_http_proxy(folder: Path, *, user: str = "", password: str = "") -> Iterator[HttpProxy]:
    """Run tinyproxy, with Basic authentication if there is a user."""
    port = free_port()
    lines = f"BasicAuth {user} {password}" if user else ""
    config = folder / "tinyproxy.conf"
    config.write_text(TINYPROXY_CONFIG.format(port=port, folder=folder, lines=lines))
    with run_server([shutil.which("tinyproxy") or "/usr/bin/tinyproxy", "-d", "-c", str(config)], port):
        yield HttpProxy(port, folder / "tinyproxy.log")


@contextmanager
def run_socks_proxy(*, user: str = "", password: str = "") -> Iterator[int]:
    """Run microsocks, with a password if there is a user; yield its port."""
    port = free_port()
    options = ["-u", user, "-P", password] if user else []
    program = shutil.which("microsocks") or "/usr/bin/microsocks"
    with run_server([program, "-i", "127.0.0.1", "-p", str(port), *options], port):
        yield port
