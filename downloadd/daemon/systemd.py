"""The service manager: told when the daemon is ready, alive, reloading or stopping; may hand over listening sockets.

Sources: sd_notify(3), sd_watchdog_enabled(3), sd_listen_fds(3). Without its variables in the environment nothing
happens, so the same daemon runs under anything else.
"""

import socket
from collections.abc import Mapping, MutableMapping
from typing import Final, Self

import msgspec

from downloadd.errors import StartupError

FIRST_DESCRIPTOR: Final = 3
"""Where the handed-over sockets begin."""
VARIABLES: Final = (
    "NOTIFY_SOCKET",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
    "LISTEN_PID",
    "LISTEN_FDS",
    "LISTEN_FDNAMES",
)
"""What the service manager says to this process, and not to its children."""


class Notifier:
    """Sends states to the service manager, if there is one. Never waits and never fails: a lost state is returned."""

    def __init__(self, address: str | None) -> None:
        """`address` is a path, or an abstract name with `@` in front; None or "" for no service manager."""
        self._socket: socket.socket | None = None
        # Only these two forms are datagram sockets of this machine.
        if address and address[0] in "/@":
            self._address = "\0" + address[1:] if address[0] == "@" else address
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            self._socket.setblocking(False)

    def ready(self, status: str = "") -> bool:
        """The daemon serves, for the first time or after a reload."""
        return self._send("READY=1", f"STATUS={status}" if status else "")

    def reloading(self, monotonic: float) -> bool:
        """A reload has begun, at `monotonic` seconds of the machine's monotonic clock; `ready` ends it."""
        return self._send("RELOADING=1", f"MONOTONIC_USEC={int(monotonic * 1_000_000)}")

    def stopping(self, status: str = "") -> bool:
        """The daemon is about to end."""
        return self._send("STOPPING=1", f"STATUS={status}" if status else "")

    def heartbeat(self) -> bool:
        """Feeds the watchdog."""
        return self._send("WATCHDOG=1")

    def close(self) -> None:
        """Lets go of the socket."""
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
        # A line feed separates assignments, so that a value can hold none.
        lines = [assignment.replace("\n", " ") for assignment in assignments if assignment]
        try:
            self._socket.sendto("\n".join(lines).encode("utf-8", "replace"), self._address)
        except OSError:
            return False
        return True


def watchdog_interval(environment: Mapping[str, str], pid: int) -> float | None:
    """Seconds between two signs of life, half of what the service manager waits; None when it does not watch `pid`."""
    if environment.get("WATCHDOG_PID", str(pid)) != str(pid):
        return None
    microseconds = _parse_count(environment.get("WATCHDOG_USEC", ""))
    return microseconds / 2_000_000 if microseconds else None


class InheritedSocket(msgspec.Struct, frozen=True, kw_only=True):
    """A listening socket from the service manager."""

    name: str
    """`FileDescriptorName=`, the unit's name unless set; empty when unknown."""
    socket: socket.socket


def inherited_sockets(
    environment: Mapping[str, str], pid: int, *, first: int = FIRST_DESCRIPTOR
) -> list[InheritedSocket]:
    """The sockets meant for `pid`, non-blocking and not inherited further; `first` is the lowest descriptor.

    Raises:
        StartupError: one of them is no listening stream socket.
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
    """Removes what is said to this process alone, so that no child takes it for itself."""
    for variable in VARIABLES:
        environment.pop(variable, None)


def _adopt_socket(descriptor: int, name: str) -> socket.socket:
    try:
        adopted = socket.socket(fileno=descriptor)
        listens = adopted.type == socket.SOCK_STREAM and adopted.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    except OSError as error:
        raise StartupError(f"descriptor {descriptor} of the service manager is no socket: {error.strerror}") from error
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
