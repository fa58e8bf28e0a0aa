"""Listening sockets, bound before anything else is opened, so that a port in use fails the start at once."""

import errno
import os
import socket
import stat
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from typing import Any, Final

import msgspec

from downloadd.config import Config, ServerConfig, TcpAddress, UnixAddress, aria2_addresses, listen_addresses
from downloadd.errors import StartupError
from downloadd.policy.url import format_host

UNIX_MODE: Final = 0o660
"""Mode of a Unix socket: its owner and group may connect, and need a token too."""

_MAX_FREE_PORTS: Final = 10
"""Free ports that are tried: the kernel chooses one for the first address, which may be in use at another."""

_MISSING: Final = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})
"""Errors for an address that the machine does not have."""
_WILDCARDS: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104 - compared, not bound
_LISTED_TWICE: Final = (
    "another address of server.listen is the same or includes it; remove one of them, or choose another port"
)


class UnixSocketName(msgspec.Struct, frozen=True, kw_only=True):
    """Path of a Unix socket of this daemon, with the identity of its inode."""

    path: str
    device: int
    inode: int


class _Candidate(msgspec.Struct, frozen=True):
    """One socket address of an address to listen on."""

    family: socket.AddressFamily
    sockaddr: tuple[Any, ...]

    @property
    def port(self) -> int:
        return int(self.sockaddr[1])


def bind_all(config: ServerConfig, stack: ExitStack) -> tuple[socket.socket, ...]:
    """Return the sockets of all addresses to listen on; `stack` removes the names of the Unix sockets. Blocks.

    Raises:
        StartupError: one of them cannot be bound.
    """
    addresses = listen_addresses(config)
    sockets = bind(*[each for each in addresses if isinstance(each, TcpAddress)])
    try:
        for each in addresses:
            if isinstance(each, UnixAddress):
                listener, name = bind_unix(each.path)
                sockets.append(listener)
                stack.callback(unlink_unix, name)
    except StartupError:
        _close_all(sockets)
        raise
    return tuple(sockets)


def bind_aria2(config: Config, stack: ExitStack) -> tuple[socket.socket, ...]:
    """Return the sockets of the further port for the RPC interface of aria2; `stack` closes them. Blocks.

    Raises:
        StartupError: one of them cannot be bound.
    """
    if not config.aria2.enabled:
        return ()
    sockets = bind(*aria2_addresses(config.server, config.aria2.port), port_setting="aria2.port")
    for listener in sockets:
        stack.callback(listener.close)
    return tuple(sockets)


def bind(*addresses: TcpAddress, port_setting: str = "--port") -> list[socket.socket]:
    """Return listening sockets for all addresses that the hosts have. Resolves names: blocks.

    Port 0 means a free port, the same one for all of them. `::` accepts IPv4 too, unless an IPv4 address is given
    beside it with the same port, or the machine does not support that. `port_setting` is what messages name.

    Raises:
        StartupError: an address does not exist, permission is missing, or a port is in use.
    """
    resolved = [(each, _resolve(each)) for each in addresses]
    further_tries = _MAX_FREE_PORTS - 1 if any(each.port == 0 for each in addresses) else 0
    while True:
        try:
            return _bind_resolved(resolved, port_setting)
        except StartupError as error:
            if not further_tries or not _is_in_use(error.__cause__):
                raise
            further_tries -= 1


def _bind_resolved(
    resolved: Sequence[tuple[TcpAddress, Sequence[_Candidate]]], port_setting: str
) -> list[socket.socket]:
    ipv4_ports = frozenset(one.port for _, found in resolved for one in found if one.family == socket.AF_INET)
    bound: list[socket.socket] = []
    free_port = 0
    for address, found in resolved:
        try:
            for listener in _bind_found(found, ipv4_ports, free_port):
                bound.append(listener)
                if address.port == 0:
                    free_port = listener.getsockname()[1]
        except OSError as error:
            is_own = error.errno == errno.EADDRINUSE and any(_overlaps(each, found) for each in bound)
            _close_all(bound)
            reason = _LISTED_TWICE if is_own else _reason(error, port_setting)
            raise StartupError(f"cannot listen on {_format_address(address)}: {reason}") from error
    return bound


def _bind_found(found: Sequence[_Candidate], ipv4_ports: frozenset[int], free_port: int) -> Iterator[socket.socket]:
    """Yield the sockets of one address to listen on; `free_port` replaces port 0.

    Raises:
        OSError: a socket cannot be bound, or the machine has none of the addresses.
    """
    missing: OSError | None = None
    is_bound = False
    for each in found:
        port = each.port or free_port
        is_dual = each.sockaddr[0] == "::" and each.port not in ipv4_ports
        try:
            listener = _bind_one(each.family, (each.sockaddr[0], port, *each.sockaddr[2:]), is_dual=is_dual)
        except OSError as error:
            # `localhost` often includes ::1 on machines without IPv6.
            if error.errno not in _MISSING:
                raise
            missing = error
            if not is_dual:
                continue
            listener = _bind_one(socket.AF_INET, ("0.0.0.0", port))  # noqa: S104 - the administrator chose all
        is_bound = True
        free_port = free_port or listener.getsockname()[1]
        yield listener
    if missing is not None and not is_bound:
        raise missing


def _overlaps(listener: socket.socket, found: Sequence[_Candidate]) -> bool:
    """Return True if a bound socket has one of these addresses, or one of both includes the other."""
    host, port = listener.getsockname()[:2]
    return any(
        each.port == port and (each.sockaddr[0] == host or not _WILDCARDS.isdisjoint({host, each.sockaddr[0]}))
        for each in found
    )


def _close_all(sockets: Sequence[socket.socket]) -> None:
    for each in sockets:
        each.close()


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
    # A machine may have IPv6 sockets without an IPv6 address.
    is_dual = host == "::" and not listener.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
    loopback = {"0.0.0.0": "127.0.0.1", "::": "127.0.0.1" if is_dual else "::1"}  # noqa: S104 - compared, not bound
    address = TcpAddress(loopback.get(host, host), port)
    return f"{'https' if tls else 'http'}://{_format_address(address)}"


def remote_url(listener: socket.socket, *, tls: bool = False) -> str:
    """Return the URL that reaches a bound socket from another machine, as far as it can be reached."""
    url = listener_url(listener, tls=tls)
    if listener.family == socket.AF_UNIX or listener.getsockname()[0] not in _WILDCARDS:
        return url
    return f"{url.partition('://')[0]}://{socket.gethostname()}:{listener.getsockname()[1]}"


def listener_address(listener: socket.socket) -> tuple[str, int | None]:
    """Return host and port of a bound socket; path and None for a Unix socket."""
    name = listener.getsockname()
    return (str(name), None) if listener.family == socket.AF_UNIX else (name[0], name[1])


def _resolve(address: TcpAddress) -> Sequence[_Candidate]:
    try:
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (socket.gaierror, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a host name"
        raise StartupError(
            f"cannot listen on {_format_address(address)}: {address.host} is not an address of this machine ({reason})"
        ) from error
    # A name may be listed twice for one address.
    return list(dict.fromkeys(_Candidate(family, sockaddr) for family, _, _, _, sockaddr in found))


def _bind_one(family: socket.AddressFamily, sockaddr: tuple[Any, ...], *, is_dual: bool = False) -> socket.socket:
    """Return a listening socket; with `is_dual`, an IPv6 socket accepts IPv4 too (RFC 3493, section 5.3)."""
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, not is_dual)
        listener.setblocking(False)
        listener.bind(sockaddr)
        # With SO_REUSEADDR two daemons may bind one port as long as neither listens: the second one must fail here.
        listener.listen(socket.SOMAXCONN)
    except OSError:
        listener.close()
        raise
    return listener


def _is_in_use(error: BaseException | None) -> bool:
    return isinstance(error, OSError) and error.errno == errno.EADDRINUSE


def _reason(error: OSError, port_setting: str) -> str:
    match error.errno:
        case errno.EADDRINUSE:
            return f"the port is in use; stop the other program or choose another {port_setting}"
        case errno.EADDRNOTAVAIL:
            return "this machine does not have that address; choose another --host"
        case errno.EACCES:
            return "not allowed; choose a port from 1024 up"
        case _:
            return os.strerror(error.errno) if error.errno else str(error)


def _format_address(address: TcpAddress) -> str:
    return f"{format_host(address.host)}:{address.port}"
