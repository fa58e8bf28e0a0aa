import socket
from pathlib import Path

import pytest

from downloadd.daemon.listeners import bind, bind_unix, listener_address, listener_url, unlink_unix
from downloadd.errors import StartupError


def test_port_zero_is_a_free_port_that_the_url_names() -> None:
    (listener,) = bind("127.0.0.1", 0)
    with listener:
        host, port = listener_address(listener)
        assert host == "127.0.0.1"
        assert port
        assert listener_url(listener) == f"http://127.0.0.1:{port}"
        with socket.create_connection((host, port), 10):
            pass


def test_all_addresses_of_a_name_share_one_port() -> None:
    listeners = bind("localhost", 0)
    assert len({listener_address(listener)[1] for listener in listeners}) == 1
    assert {listener_address(listener)[0] for listener in listeners} <= {"127.0.0.1", "::1"}
    for listener in listeners:
        listener.close()


def has_ipv6_loopback() -> bool:
    """Return True if the machine has ::1; a container often supports IPv6 without an address."""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


@pytest.mark.skipif(not has_ipv6_loopback(), reason="this machine has no IPv6 loopback address")
def test_an_ipv6_address_is_in_brackets() -> None:
    for host in ("::1", "::"):
        (listener,) = bind(host, 0)
        with listener:
            assert listener_url(listener) == f"http://[::1]:{listener_address(listener)[1]}"


def test_the_wildcard_address_has_the_url_of_loopback() -> None:
    (listener,) = bind("0.0.0.0", 0)
    with listener:
        assert listener_url(listener) == f"http://127.0.0.1:{listener_address(listener)[1]}"


def test_a_unix_socket_has_a_path() -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("\0downloadd-test-listener")
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
    (first,) = bind("127.0.0.1", 0)
    with first, pytest.raises(StartupError, match=r"the port is in use; .*choose another --port") as caught:
        bind("127.0.0.1", first.getsockname()[1])
    assert caught.value.exit_status == 1
    assert len(caught.value.message.splitlines()) == 1


def test_a_port_is_free_again_at_once(tmp_path: Path) -> None:
    (first,) = bind("127.0.0.1", 0)
    port = first.getsockname()[1]
    with first, socket.create_connection(("127.0.0.1", port), 10) as client:
        first.setblocking(True)
        server, _ = first.accept()
        server.close()
        assert client.recv(1) == b""
    (again,) = bind("127.0.0.1", port)
    again.close()


@pytest.mark.parametrize("host", ["no-such-host.invalid", "192.0.2.1", "a" * 70, "\udcff"])
def test_an_address_of_another_machine_is_an_error_of_one_line(host: str) -> None:
    with pytest.raises(StartupError, match="cannot listen on") as caught:
        bind(host, 0)
    assert len(caught.value.message.splitlines()) == 1
