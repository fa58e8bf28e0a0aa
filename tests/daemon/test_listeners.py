import errno
import os
import socket
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest
from support.ports import free_port
from support.waiting import CONDITION_TIMEOUT

from downloadd.config import Aria2Config, Config, ServerConfig, TcpAddress
from downloadd.daemon import listeners as listeners_module
from downloadd.daemon.listeners import (
    bind,
    bind_all,
    bind_aria2,
    bind_unix,
    listener_address,
    listener_url,
    remote_url,
    unlink_unix,
)
from downloadd.errors import StartupError


def test_port_zero_is_a_free_port_that_the_url_names() -> None:
    (listener,) = bind(TcpAddress("127.0.0.1", 0))
    with listener:
        host, port = listener_address(listener)
        assert host == "127.0.0.1"
        assert port
        assert listener_url(listener) == f"http://127.0.0.1:{port}"
        with socket.create_connection((host, port), CONDITION_TIMEOUT):
            pass


def test_the_url_for_other_machines_has_the_name_of_the_machine_only_in_place_of_all_addresses(tmp_path: Path) -> None:
    with ExitStack() as stack:
        (everywhere,) = [stack.enter_context(each) for each in bind(TcpAddress("0.0.0.0", 0))]
        port = listener_address(everywhere)[1]
        assert remote_url(everywhere, tls=True) == f"https://{socket.gethostname()}:{port}"
        (loopback,) = [stack.enter_context(each) for each in bind(TcpAddress("127.0.0.1", 0))]
        assert remote_url(loopback) == listener_url(loopback)
        unix, _ = bind_unix(str(tmp_path / "a"))
        stack.enter_context(unix)
        assert remote_url(unix) == f"unix:{tmp_path}/a"


def test_all_addresses_of_a_name_share_one_port() -> None:
    with ExitStack() as stack:
        listeners = [stack.enter_context(listener) for listener in bind(TcpAddress("localhost", 0))]
        assert len({listener_address(listener)[1] for listener in listeners}) == 1
        assert {listener_address(listener)[0] for listener in listeners} <= {"127.0.0.1", "::1"}


def test_a_free_port_that_is_in_use_at_a_further_address_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    bind_one = listeners_module._bind_one
    taken: list[socket.socket] = []

    def bind_after_another(family: socket.AddressFamily, sockaddr: tuple[Any, ...], **options: Any) -> socket.socket:
        if sockaddr[1] and len(taken) < 2:
            taken.append(stack.enter_context(bind_one(family, sockaddr)))
        return bind_one(family, sockaddr, **options)

    monkeypatch.setattr(listeners_module, "_bind_one", bind_after_another)
    with ExitStack() as stack:
        listeners = [stack.enter_context(each) for each in bind(TcpAddress("127.0.0.2", 0), TcpAddress("127.0.0.3", 0))]
        addresses = [listener_address(each) for each in listeners]
        assert [address for address, _ in addresses] == ["127.0.0.2", "127.0.0.3"]
        assert addresses[0][1] == addresses[1][1] not in {listener_address(each)[1] for each in taken}


def test_a_port_that_was_chosen_is_not_replaced() -> None:
    port = free_port()
    with (
        closing(bind(TcpAddress("127.0.0.3", port))[0]),
        pytest.raises(StartupError, match=rf"127\.0\.0\.3:{port}: the port is in use"),
    ):
        bind(TcpAddress("127.0.0.2", port), TcpAddress("127.0.0.3", port))
    bind(TcpAddress("127.0.0.2", port))[0].close()


def has_ipv6_loopback() -> bool:
    """Return True if the machine has ::1; a container often supports IPv6 without an address."""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


@pytest.mark.skipif(not has_ipv6_loopback(), reason="this machine has no IPv6 loopback address")
def test_an_ipv6_address_is_in_brackets() -> None:
    (listener,) = bind(TcpAddress("::1", 0))
    with listener:
        assert listener_url(listener) == f"http://[::1]:{listener_address(listener)[1]}"


def has_ipv6() -> bool:
    """Return True if the machine has IPv6 sockets, with or without an address."""
    try:
        socket.create_server(("::", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
def test_the_wildcard_of_ipv6_accepts_ipv4_too() -> None:
    (listener,) = bind(TcpAddress("::", 0))
    with listener:
        port = listener_address(listener)[1]
        assert listener_url(listener) == f"http://127.0.0.1:{port}"
        for address in ("127.0.0.1", "::1") if has_ipv6_loopback() else ("127.0.0.1",):
            socket.create_connection((address, port), CONDITION_TIMEOUT).close()


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
def test_the_wildcard_of_ipv6_leaves_ipv4_to_an_address_beside_it() -> None:
    # `::` in front of the other one would take its port.
    with ExitStack() as stack:
        listeners = [stack.enter_context(each) for each in bind(TcpAddress("::", 0), TcpAddress("127.0.0.1", 0))]
        assert [each.family for each in listeners] == [socket.AF_INET6, socket.AF_INET]
        assert [listener_url(each).rpartition(":")[0] for each in listeners] == ["http://[::1]", "http://127.0.0.1"]


def test_the_wildcard_of_ipv6_is_that_of_ipv4_on_a_machine_without_ipv6(monkeypatch: pytest.MonkeyPatch) -> None:
    class Socket(socket.socket):
        def __init__(self, family: int = -1, type: int = -1, proto: int = -1, fileno: int | None = None) -> None:
            if family == socket.AF_INET6:
                raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")
            super().__init__(family, type, proto, fileno)

    monkeypatch.setattr(socket, "socket", Socket)
    (listener,) = bind(TcpAddress("::", 0))
    with listener:
        assert listener_address(listener)[0] == "0.0.0.0"
    with pytest.raises(StartupError, match=r"cannot listen on \[::1\]:0: "):
        bind(TcpAddress("::1", 0))


def test_all_addresses_and_unix_sockets_of_the_list_are_bound(tmp_path: Path) -> None:
    config = ServerConfig(
        port=0, listen=("127.0.0.1", f"unix:{tmp_path}/a", "127.0.0.2"), unix_socket=str(tmp_path / "b")
    )
    with ExitStack() as stack:
        sockets = bind_all(config, stack)
        for each in sockets:
            stack.callback(each.close)
        tcp, paths = sockets[:2], sockets[2:]
        assert [listener_address(each)[0] for each in tcp] == ["127.0.0.1", "127.0.0.2"]
        # A free port is the same for all of them.
        assert len({listener_address(each)[1] for each in tcp}) == 1
        assert [listener_url(each) for each in paths] == [f"unix:{tmp_path}/a", f"unix:{tmp_path}/b"]
    assert not list(tmp_path.iterdir())


def test_a_list_whose_last_address_is_taken_leaves_nothing_bound(tmp_path: Path) -> None:
    (tmp_path / "b").write_text("mine")
    port = free_port()
    (taken,) = bind(TcpAddress("127.0.0.1", port))
    other = f"127.0.0.2:{port}"
    with taken, ExitStack() as stack, pytest.raises(StartupError, match=f"127.0.0.1:{port}: the port is in use"):
        bind_all(ServerConfig(listen=(other, f"127.0.0.1:{port}", f"unix:{tmp_path}/a")), stack)
    with ExitStack() as stack, pytest.raises(StartupError, match="another file is there"):
        bind_all(ServerConfig(listen=(other, f"unix:{tmp_path}/a", f"unix:{tmp_path}/b")), stack)
    bind(TcpAddress("127.0.0.2", port))[0].close()
    assert [each.name for each in tmp_path.iterdir()] == ["b"]


def test_the_further_port_is_bound_at_the_hosts_of_the_server() -> None:
    port = free_port()
    (taken,) = bind(TcpAddress("127.0.0.1", port))
    server = ServerConfig(listen=("127.0.0.2:0", "127.0.0.3:0"))
    with taken, ExitStack() as stack:
        sockets = bind_aria2(Config(server=server, aria2=Aria2Config(port=port)), stack)
        assert [listener_address(each) for each in sockets] == [("127.0.0.2", port), ("127.0.0.3", port)]
        with pytest.raises(
            StartupError, match=r"the port is in use; stop the other program or choose another aria2\.port"
        ):
            bind_aria2(Config(aria2=Aria2Config(port=port)), stack)
        assert bind_aria2(Config(aria2=Aria2Config(port=port, enabled=False)), stack) == ()
        assert bind_aria2(Config(), stack) == ()
    assert all(each.fileno() == -1 for each in sockets)


def test_the_wildcard_address_has_the_url_of_loopback() -> None:
    (listener,) = bind(TcpAddress("0.0.0.0", 0))
    with listener:
        assert listener_url(listener) == f"http://127.0.0.1:{listener_address(listener)[1]}"


def test_a_unix_socket_has_a_path() -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"\0downloadd-test-listener-{os.getpid()}")
        assert listener_url(listener).startswith("unix:")
        assert listener_address(listener)[1] is None


def test_the_name_of_a_unix_socket_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "sock"
    listener, name = bind_unix(str(path))
    with listener, socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
    unlink_unix(name)
    assert not path.exists()
    unlink_unix(name)


def test_a_file_that_has_replaced_a_unix_socket_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "sock"
    first, name_of_first = bind_unix(str(path))
    with first:
        path.unlink()
        second, name_of_second = bind_unix(str(path))
        with second, socket.socket(socket.AF_UNIX) as client:
            unlink_unix(name_of_first)
            client.connect(str(path))
            path.unlink()
            path.write_text("mine")
            unlink_unix(name_of_second)
    assert path.read_text() == "mine"


def test_a_port_in_use_is_an_error_of_one_line() -> None:
    (first,) = bind(TcpAddress("127.0.0.1", 0))
    with first, pytest.raises(StartupError, match=r"the port is in use; .*choose another --port") as caught:
        bind(TcpAddress("127.0.0.1", first.getsockname()[1]))
    assert caught.value.exit_status == 1
    assert len(caught.value.message.splitlines()) == 1


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_an_address_that_is_listed_twice_is_named(host: str) -> None:
    port = free_port()
    with pytest.raises(StartupError, match=r"cannot listen on 127.0.0.1:\d+: another address of server.listen"):
        bind(TcpAddress(host, port), TcpAddress("127.0.0.1", port))
    # Both are free again.
    with closing(bind(TcpAddress(host, port))[0]):
        pass


def test_a_port_is_free_again_at_once(tmp_path: Path) -> None:
    port = free_port()
    (first,) = bind(TcpAddress("127.0.0.1", port))
    with first, socket.create_connection(("127.0.0.1", port), CONDITION_TIMEOUT) as client:
        first.setblocking(True)
        server, _ = first.accept()
        server.close()
        assert client.recv(1) == b""
    bind(TcpAddress("127.0.0.1", port))[0].close()


@pytest.mark.parametrize("host", ["no-such-host.invalid", "192.0.2.1", "a" * 70, "\udcff"])
def test_an_address_of_another_machine_is_an_error_of_one_line(host: str) -> None:
    with pytest.raises(StartupError, match="cannot listen on") as caught:
        bind(TcpAddress(host, 0))
    assert len(caught.value.message.splitlines()) == 1
