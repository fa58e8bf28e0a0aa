"""Programs of the package as forks of a process that has their modules: imports are most of the CPU time of a start.

A fork is a process like any other, with its own descriptors, signals and exit status, and runs the `main` of the
program. This module is the client, and, as a program, the process that forks.
"""

import atexit
import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, Final

MAX_REQUEST_BYTES: Final = 1 << 20
DESCRIPTORS: Final = 4
"""Descriptors of a request: standard input, output and error, and the connection for reports."""


class ForkedProgram:
    """Program that was forked, with the methods of `subprocess.Popen`.

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
                raise subprocess.TimeoutExpired("fork", timeout or 0)
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
    """Client of a process that forks a program; the process ends with its connection."""

    def __init__(self, program: str) -> None:
        """Start the process; `program` is a key of `PROGRAMS`."""
        self._connection, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-I", __file__, program, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
            )

    def start(
        self,
        arguments: Sequence[str],
        *,
        environment: Mapping[str, str],
        stderr: int,
        stdin: int | None = None,
        stdout: int | None = None,
        folder: Path | None = None,
        constants: Mapping[str, Any] | None = None,
    ) -> ForkedProgram:
        """Start the program with these arguments, variables and descriptors, by default those of `/dev/null`.

        Args:
            arguments: without the name of the program.
            environment: all of its variables.
            stderr: descriptor.
            stdin: descriptor.
            stdout: descriptor.
            folder: its working directory, by default that of this process.
            constants: values of constants of its modules, by their full names.
        """
        ours, theirs = socket.socketpair()
        request = {
            "arguments": list(arguments),
            "environment": dict(environment),
            "folder": os.getcwd() if folder is None else str(folder),
            "constants": dict(constants or {}),
        }
        with theirs, open(os.devnull, "r+b") as null:
            streams = [null.fileno() if fd is None else fd for fd in (stdin, stdout, stderr)]
            socket.send_fds(self._connection, [json.dumps(request).encode()], [*streams, theirs.fileno()])
        return ForkedProgram(ours)

    def close(self) -> None:
        """End the process; its programs continue."""
        self._connection.close()
        self._process.wait()


@cache
def fork_server(program: str) -> ForkServer:
    """Return the server of this process for a program, which starts with the first fork."""
    server = ForkServer(program)
    atexit.register(server.close)
    return server


def import_daemon() -> Callable[[], None]:
    """Import all modules that the daemon does, and return its main function."""
    import downloadd.__main__

    downloadd.__main__._import_structlog()
    import downloadd.daemon.main

    return downloadd.__main__.main


def import_command() -> Callable[[], None]:
    """Import the modules of the command, and return its main function."""
    from downloadd.cli.main import main

    return main


PROGRAMS: Final[Mapping[str, Callable[[], Callable[[], None]]]] = {
    "downloadd": import_daemon,
    "downloadctl": import_command,
}


def serve(connection: socket.socket) -> dict[str, Any]:
    """Fork for each request, and return the request in the fork; end with the connection."""
    while True:
        # Forks that have reported the end of a program; their CPU time is counted when they are waited for.
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        data, descriptors, _, _ = socket.recv_fds(connection, MAX_REQUEST_BYTES, DESCRIPTORS)
        if not data:
            os._exit(0)
        if not os.fork():
            break
        for fd in descriptors:
            os.close(fd)
    connection.close()
    *streams, reports = descriptors
    pid = os.fork()
    if pid:
        report_end(pid, reports)
    for number, fd in enumerate(streams):
        os.dup2(fd, number)
    for fd in descriptors:
        os.close(fd)
    request: dict[str, Any] = json.loads(data)
    return request


def report_end(pid: int, reports: int) -> None:
    """Report the id of a child, wait for its end, report its exit status, and exit."""
    # Ctrl-C is for the tests.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # A program that reads a pipe waits for all its writers.
    os.closerange(0, reports)
    with suppress(BrokenPipeError):
        os.write(reports, pid.to_bytes(4, signed=True))
        _, status = os.waitpid(pid, 0)
        os.write(reports, os.waitstatus_to_exitcode(status).to_bytes(4, signed=True))
    os._exit(0)


def run(name: str, connection: socket.socket) -> None:
    """Serve forks of a program, and run it in each of them."""
    main = PROGRAMS[name]()
    request = serve(connection)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.argv = [name, *request["arguments"]]
    for constant, value in request["constants"].items():
        module, _, attribute = constant.rpartition(".")
        assert hasattr(sys.modules[module], attribute), constant
        setattr(sys.modules[module], attribute, value)
    main()


if __name__ == "__main__":
    run(sys.argv[1], socket.socket(fileno=int(sys.argv[2])))
