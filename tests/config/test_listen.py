"""Spelling of the addresses to listen on."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from downloadd.config import ServerConfig, TcpAddress, UnixAddress, aria2_addresses, listen_addresses
from downloadd.config.listen import parse_listen_address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:80", TcpAddress("127.0.0.1", 80)),
        ("127.0.0.1", TcpAddress("127.0.0.1", 8080)),
        ("[::1]:0", TcpAddress("::1", 0)),
        ("[::]", TcpAddress("::", 8080)),
        ("::", TcpAddress("::", 8080)),
        ("fe80::1%eth0", TcpAddress("fe80::1%eth0", 8080)),
        ("[fe80::1%eth0]:65535", TcpAddress("fe80::1%eth0", 65535)),
        ("nas.lan:9000", TcpAddress("nas.lan", 9000)),
        ("localhost", TcpAddress("localhost", 8080)),
        ("unix:/run/a.sock", UnixAddress("/run/a.sock")),
        ("unix:a:1.sock", UnixAddress("a:1.sock")),
        ("/run/a.sock", UnixAddress("/run/a.sock")),
    ],
)
def test_an_entry_is_an_address_or_a_path(text: str, address: TcpAddress | UnixAddress) -> None:
    assert parse_listen_address(text, 8080) == address


@pytest.mark.parametrize(
    "text",
    ["", ":", ":80", "a:", "a:x", "a:-1", "a:65536", "a:1234567", "a:٣", "[::1", "::1]:80", "[a]:80", "a:b:80", "unix:",
     "http://a:80", "a b", "a@b:80", "[::1]80"],
)  # fmt: skip
def test_another_text_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        parse_listen_address(text, 8080)


@given(st.text(max_size=30))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    with suppress(ValueError):
        parse_listen_address(text, 8080)


def test_the_list_replaces_host_and_the_unix_socket_is_added() -> None:
    assert listen_addresses(ServerConfig(host="::1", port=1)) == (TcpAddress("::1", 1),)
    config = ServerConfig(port=9, listen=("127.0.0.1", "unix:/a"), unix_socket="/b")
    assert listen_addresses(config) == (TcpAddress("127.0.0.1", 9), UnixAddress("/a"), UnixAddress("/b"))


@pytest.mark.parametrize(
    ("listen", "hosts"),
    [
        ((), ["127.0.0.1"]),
        (("127.0.0.1:1", "unix:/a", "127.0.0.1:2", "[::1]:1"), ["127.0.0.1", "::1"]),
        (("127.0.0.1:1", "0.0.0.0:2", "[::1]:1"), ["0.0.0.0", "::1"]),
        (("127.0.0.1:1", "[::]:2", "nas.lan"), ["::"]),
        (("0.0.0.0", "[::]"), ["0.0.0.0", "::"]),
        (("unix:/a",), []),
    ],
)
def test_the_further_port_is_at_each_host_once(listen: tuple[str, ...], hosts: list[str]) -> None:
    found = aria2_addresses(ServerConfig(listen=listen), 6800)
    assert found == tuple(TcpAddress(host, 6800) for host in hosts)
    assert aria2_addresses(ServerConfig(listen=listen), 0) == ()
