"""Protocol of the service manager: notifications of the daemon's state, and listening sockets that it passes.

Sources: sd_notify(3), sd_watchdog_enabled(3), sd_listen_fds(3). Without its variables in the environment nothing is
sent, so the daemon also runs without systemd.
"""

import socket
from collections.abc import Mapping, MutableMapping
from typing import Final, Self

import msgspec

from downloadd.errors import StartupError

FIRST_DESCRIPTOR: Final = 3
"""Number of the first socket that is passed."""
VARIABLES: Final = (
    "NOTIFY_SOCKET",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
    "LISTEN_PID",
    "LISTEN_FDS",
    "LISTEN_FDNAMES",
)
"""Variables that the service manager sets for this process and not for its children."""


class Notifier:
    """Sender of states to the service manager, if there is one. It never waits and never raises."""

    def __init__(self, address: str | None) -> None:
        """Open the socket to `address`: a path, or `@` and an abstract name; None or "" for no service manager."""
        self._socket: socket.socket | None = None
        # Only these two forms are datagram sockets of this machine.
        if address and address[0] in "/@":
            self._address = "\0" + address[1:] if address[0] == "@" else address
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            self._socket.setblocking(False)

    def ready(self, status: str = "") -> bool:
        """Report that the daemon serves, after the start or a reload. Return False if it was not sent."""
        return self._send("READY=1", f"STATUS={status}" if status else "")

    def reloading(self, monotonic: float) -> bool:
        """Report a reload that began at `monotonic` seconds of the monotonic clock; `ready` ends it."""
        return self._send("RELOADING=1", f"MONOTONIC_USEC={int(monotonic * 1_000_000)}")

    def stopping(self, status: str = "") -> bool:
        """Report that the daemon stops."""
        return self._send("STOPPING=1", f"STATUS={status}" if status else "")

    def heartbeat(self) -> bool:
        """Send a heartbeat to the watchdog."""
        return self._send("WATCHDOG=1")

    def close(self) -> None:
        """Close the socket."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _send(self, *assignments: str) -> bool:
        if self._socket is None:
            return False
        # A line feed separates assignments, so a value may not hold one.
        lines = [assignment.replace("\n", " ") for assignment in assignments if assignment]
        try:
            self._socket.sendto("\n".join(lines).encode("utf-8", "replace"), self._address)
        except OSError:
            return False
        return True


def watchdog_interval(environment: Mapping[str, str], pid: int) -> float | None:
    """Return the seconds between two heartbeats, half of the watchdog's timeout; None if `pid` has no watchdog."""
    if environment.get("WATCHDOG_PID", str(pid)) != str(pid):
        return None
    microseconds = _parse_count(environment.get("WATCHDOG_USEC", ""))
    return microseconds / 2_000_000 if microseconds else None


class InheritedSocket(msgspec.Struct, frozen=True, kw_only=True):
    """Listening socket from the service manager."""

    name: str
    """`FileDescriptorName=` or the name of the unit; empty if unknown."""
    socket: socket.socket


def inherited_sockets(
    environment: Mapping[str, str], pid: int, *, first: int = FIRST_DESCRIPTOR
) -> list[InheritedSocket]:
    """Return the sockets for `pid`, non-blocking and closed on exec; `first` is the lowest descriptor.

    Raises:
        StartupError: one of them is not a listening stream socket.
    """
    if environment.get("LISTEN_PID") != str(pid):
        return []
    count = _parse_count(environment.get("LISTEN_FDS", ""))
    names = environment.get("LISTEN_FDNAMES", "").split(":")
    adopted = []
    for index in range(count):
        name = names[index] if index < len(names) else ""
        adopted.append(InheritedSocket(name=name, socket=_adopt_socket(first + index, name)))
    return adopted


def clear_environment(environment: MutableMapping[str, str]) -> None:
    """Remove the variables for this process, so that no child applies them."""
    for variable in VARIABLES:
        environment.pop(variable, None)


def _adopt_socket(descriptor: int, name: str) -> socket.socket:
    try:
        adopted = socket.socket(fileno=descriptor)
        listens = adopted.type == socket.SOCK_STREAM and adopted.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    except OSError as error:
        raise StartupError(
            f"descriptor {descriptor} of the service manager is not a socket: {error.strerror}"
        ) from error
    if not listens:
        adopted.close()
        raise StartupError(
            f"the socket {name or descriptor} of the service manager does not listen; use ListenStream= and Accept=no"
        )
    adopted.set_inheritable(False)
    adopted.setblocking(False)
    return adopted


def _parse_count(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else 0
