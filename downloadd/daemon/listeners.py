"""Listening sockets, bound before anything else is opened, so that a port in use fails the start at once."""

import errno
import os
import socket
import stat
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from typing import Final

import msgspec

from downloadd.config import ServerConfig
from downloadd.errors import StartupError

UNIX_MODE: Final = 0o660
"""Mode of a Unix socket: its owner and group may connect, and need a token too."""


class UnixSocketName(msgspec.Struct, frozen=True, kw_only=True):
    """Path of a Unix socket of this daemon, with the identity of its inode."""

    path: str
    device: int
    inode: int


def bind_all(config: ServerConfig, stack: ExitStack) -> tuple[socket.socket, ...]:
    """Return the sockets of `host`, `port` and `unix_socket`; `stack` removes the name of the Unix socket. Blocks.

    Raises:
        StartupError: one of them cannot be bound.
    """
    sockets = bind(config.host, config.port)
    if config.unix_socket:
        listener, name = bind_unix(config.unix_socket)
        sockets.append(listener)
        stack.callback(unlink_unix, name)
    return tuple(sockets)


def bind(host: str, port: int) -> list[socket.socket]:
    """Return listening sockets for every address of `host`, all on the same port. Resolves `host`: blocks.

    Port 0 means a free port.

    Raises:
        StartupError: the address does not exist, permission is missing, or the port is in use.
    """
    bound: list[socket.socket] = []
    missing: OSError | None = None
    try:
        for family, address in _resolve(host, port):
            if port == 0 and bound:
                address = (address[0], bound[0].getsockname()[1], *address[2:])
            try:
                bound.append(_bind_one(family, address))
            except OSError as error:
                # `localhost` often includes ::1 on machines without IPv6.
                if error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                    raise
                missing = error
        if missing is not None and not bound:
            raise missing
    except OSError as error:
        for each in bound:
            each.close()
        raise StartupError(f"cannot listen on {_format_authority(host, port)}: {_reason(error)}") from error
    return bound


def bind_unix(path: str) -> tuple[socket.socket, UnixSocketName]:
    """Return a Unix socket that listens at `path`, open to its owner and group, in place of that of a killed daemon.

    Pass the name to `unlink_unix` once the socket is closed.

    Raises:
        StartupError: another program listens there, another file is there, or the socket cannot be created.
    """
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _remove_stale(path)
        listener.setblocking(False)
        listener.bind(path)
        made = os.lstat(path)
        os.chmod(path, UNIX_MODE)
        listener.listen(socket.SOMAXCONN)
    except OSError as error:
        listener.close()
        raise StartupError(f"cannot listen on {path}: {os.strerror(error.errno or 0)}") from error
    except StartupError:
        listener.close()
        raise
    return listener, UnixSocketName(path=path, device=made.st_dev, inode=made.st_ino)


def unlink_unix(name: UnixSocketName) -> None:
    """Remove the name of a Unix socket, unless another file, such as another daemon's socket, has replaced it."""
    with suppress(OSError):
        found = os.lstat(name.path)
        if (found.st_dev, found.st_ino) == (name.device, name.inode):
            os.unlink(name.path)


def _remove_stale(path: str) -> None:
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            raise StartupError(f"cannot listen on {path}: another file is there; choose another path")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        # A full queue of connections must not delay the start.
        probe.setblocking(False)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
            return
        except BlockingIOError:
            pass
    raise StartupError(f"cannot listen on {path}: another program listens there")


def listener_url(listener: socket.socket, *, tls: bool = False) -> str:
    """Return the URL that reaches a bound socket from this machine, without a slash at the end."""
    if listener.family == socket.AF_UNIX:
        return f"unix:{listener.getsockname()}"
    host, port = listener.getsockname()[:2]
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared, not bound
    return f"{'https' if tls else 'http'}://{_format_authority(reachable, port)}"


def listener_address(listener: socket.socket) -> tuple[str, int | None]:
    """Return host and port of a bound socket; path and None for a Unix socket."""
    name = listener.getsockname()
    return (str(name), None) if listener.family == socket.AF_UNIX else (name[0], name[1])


def _resolve(host: str, port: int) -> Sequence[tuple[socket.AddressFamily, tuple[object, ...]]]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (socket.gaierror, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a host name"
        raise StartupError(
            f"cannot listen on {_format_authority(host, port)}: {host} is not an address of this machine ({reason})"
        ) from error
    # A name may be listed twice for one address.
    return list(dict.fromkeys((family, address) for family, _, _, _, address in found))


def _bind_one(family: socket.AddressFamily, address: tuple[object, ...]) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.setblocking(False)
        listener.bind(address)
        # With SO_REUSEADDR two daemons may bind one port as long as neither listens: the second one must fail here.
        listener.listen(socket.SOMAXCONN)
    except OSError:
        listener.close()
        raise
    return listener


def _reason(error: OSError) -> str:
    match error.errno:
        case errno.EADDRINUSE:
            return "the port is in use; stop the other program or choose another --port"
        case errno.EADDRNOTAVAIL:
            return "this machine does not have that address; choose another --host"
        case errno.EACCES:
            return "not allowed; choose a port from 1024 up"
        case _:
            return os.strerror(error.errno) if error.errno else str(error)


def _format_authority(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
