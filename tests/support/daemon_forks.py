"""Daemons as forks of a process that has imported their modules: imports are nine tenths of the CPU time of a start.

A fork is a process like any other, with its own descriptors, signals and exit status, and runs `downloadd.__main__`.
This module is the client, and, as a program, the process that forks.
"""

import atexit
import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from typing import Any

REQUEST_BYTES = 1 << 20


class ForkedDaemon:
    """Daemon that was forked, with the methods of `subprocess.Popen`.

    Attributes:
        pid: its id.
        returncode: its exit status, negative for a signal; None while it is not known.
    """

    def __init__(self, reports: socket.socket) -> None:
        """Take a connection on which the parent reports the id, and later the exit status."""
        self._reports = reports
        self.pid = self._receive()
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Return the exit status; None while the process runs."""
        with suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit status once the process has ended.

        Raises:
            subprocess.TimeoutExpired: it still runs after `timeout` seconds.
        """
        if self.returncode is None:
            poll = select.poll()
            poll.register(self._reports, select.POLLIN)
            if not poll.poll(None if timeout is None else timeout * 1000):
                raise subprocess.TimeoutExpired("downloadd", timeout or 0)
            self.returncode = self._receive()
            self._reports.close()
        return self.returncode

    def send_signal(self, sig: int) -> None:
        """Send a signal unless the process has ended."""
        if self.poll() is None:
            os.kill(self.pid, sig)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def _receive(self) -> int:
        return int.from_bytes(self._reports.recv(4), signed=True)


class ForkServer:
    """Client of a process that forks daemons; the process ends with its connection."""

    def __init__(self) -> None:
        self._connection, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-I", __file__, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
            )

    def close(self) -> None:
        """End the process; its daemons continue."""
        self._connection.close()
        self._process.wait()

    def start(self, arguments: Sequence[str], *, environment: Mapping[str, str], stderr: int) -> ForkedDaemon:
        """Start a daemon with these arguments."""
        ours, theirs = socket.socketpair()
        request = {"arguments": list(arguments), "environment": dict(environment), "folder": os.getcwd()}
        with theirs:
            socket.send_fds(self._connection, [json.dumps(request).encode()], [stderr, theirs.fileno()])
        return ForkedDaemon(ours)


@cache
def fork_server() -> ForkServer:
    """Return the server of this process, which starts with its first daemon."""
    server = ForkServer()
    atexit.register(server.close)
    return server


def serve(connection: socket.socket) -> dict[str, Any]:
    """Fork for each request, and return the request in the fork; end with the connection."""
    # The forks that wait for daemons need no one to wait for them.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        data, (*descriptors,), _, _ = socket.recv_fds(connection, REQUEST_BYTES, 2)
        if not data:
            os._exit(0)
        if not os.fork():
            break
        for fd in descriptors:
            os.close(fd)
    connection.close()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    stderr, reports = descriptors
    pid = os.fork()
    if pid:
        os.close(stderr)
        report_end(pid, reports)
    os.close(reports)
    os.dup2(stderr, 2)
    os.close(stderr)
    request: dict[str, Any] = json.loads(data)
    return request


def report_end(pid: int, reports: int) -> None:
    """Report the id of a child, wait for its end, report its exit status, and exit."""
    # A Ctrl-C is for the tests.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with suppress(BrokenPipeError):
        os.write(reports, pid.to_bytes(4, signed=True))
        _, status = os.waitpid(pid, 0)
        os.write(reports, os.waitstatus_to_exitcode(status).to_bytes(4, signed=True))
    os._exit(0)


def run_daemon(request: Mapping[str, Any]) -> None:
    """Run the program of the daemon in this process."""
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.argv = ["downloadd", *request["arguments"]]
    downloadd.__main__.main()


if __name__ == "__main__":
    import downloadd.__main__

    downloadd.__main__._import_structlog()
    import downloadd.daemon.main

    run_daemon(serve(socket.socket(fileno=int(sys.argv[1]))))
