"""Connections through real proxies, and through servers that are none."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from ssl import SSLContext

import pytest
from support.loopback_client import open_client
from support.origin.tls import Authority
from support.origin_requests import TIMEOUTS, get_request
from support.proxy_servers import run_http_proxy, run_socks_proxy
from support.raw_server import Handler, answer_with, serve_raw
from support.recording_origin import open_recording_origin

from downloadd.errors import DomainBlockedError, NetworkError, NetworkErrorKind
from downloadd.origin.client import OriginClient
from downloadd.origin.connection_options import ConnectionOptions
from downloadd.origin.proxy import Target, proxy_authorization
from downloadd.origin.timeouts import Timeouts
from downloadd.policy.addresses import AddressRules
from downloadd.policy.origin_proxies import Proxy
from downloadd.policy.proxy_url import ProxyUrl
from downloadd.request_fields import Credentials

pytestmark = pytest.mark.system


def make_proxy(
    scheme: str, port: int, *, user: str = "", password: str = "", is_resolver: bool = False, name: str = "office"
) -> Proxy:
    credentials = Credentials(user=user, password=password) if user else None
    url = ProxyUrl(scheme=scheme, host="127.0.0.1", port=port, user=credentials)
    return Proxy(name=name, url=url, is_resolver=is_resolver)


def options_for(proxy: Proxy, tls: SSLContext | None = None, **options: object) -> ConnectionOptions:
    return ConnectionOptions(tls=tls, proxy=proxy, **options)  # type: ignore[arg-type]


async def fetch(client: OriginClient, url: str, options: ConnectionOptions, timeouts: Timeouts = TIMEOUTS) -> int:
    """Return the status of a response without content."""
    response = await client.request(get_request(url), options, timeouts)
    assert await response.content.read() == b""
    response.content.release_connection()
    return response.head.status


@pytest.mark.parametrize("is_tls", [False, True], ids=["http", "https"])
@pytest.mark.parametrize("user", ["", "someone"], ids=["open", "password"])
async def test_an_http_proxy_is_used(tmp_path: Path, is_tls: bool, user: str) -> None:
    authority = Authority()
    tls = authority.client_context() if is_tls else None
    async with open_recording_origin(authority.server_context("a.example") if is_tls else None) as origin:
        with run_http_proxy(tmp_path, user=user, password="s3cret") as server:
            proxy = make_proxy("http", server.port, user=user, password="s3cret")
            async with open_client() as client:
                url = f"{'https' if is_tls else 'http'}://a.example:{origin.port}/f"
                if is_tls:
                    # The proxy gets the address that the policy has allowed, the origin its name.
                    for _ in range(2):
                        assert await fetch(client, url, options_for(proxy, tls)) == 200
                    assert server.requests() == [f"CONNECT 127.0.0.1:{origin.port} HTTP/1.1"]
                    assert len(origin.peers) == 1
                else:
                    # tinyproxy resolves the name itself.
                    with_address = url.replace("a.example", "127.0.0.1")
                    assert await fetch(client, with_address, options_for(proxy)) == 200
                    assert server.requests() == [f"GET {with_address} HTTP/1.1"]
        assert all(b"Proxy-Authorization" not in head for head in origin.heads)
        assert all(b"Host: " in head for head in origin.heads)


@pytest.mark.parametrize("is_tls", [False, True], ids=["http", "https"])
@pytest.mark.parametrize("user", ["", "someone"], ids=["open", "password"])
async def test_a_socks_proxy_is_used(is_tls: bool, user: str) -> None:
    authority = Authority()
    tls = authority.client_context() if is_tls else None
    async with open_recording_origin(authority.server_context("a.example") if is_tls else None) as origin:
        with run_socks_proxy(user=user, password="s3cret") as port:
            proxy = make_proxy("socks5", port, user=user, password="s3cret")
            async with open_client() as client:
                url = f"{'https' if is_tls else 'http'}://a.example:{origin.port}/f"
                for _ in range(2):
                    assert await fetch(client, url, options_for(proxy, tls)) == 200
        assert len(origin.peers) == 1


async def test_a_proxy_that_resolves_names_gets_the_name(tmp_path: Path) -> None:
    """Its answer shows it: the machine knows no such name."""
    with run_socks_proxy() as socks, run_http_proxy(tmp_path) as http:
        async with open_client(["10.0.0.1"]) as client:
            for proxy in (
                make_proxy("socks5h", socks, is_resolver=True),
                make_proxy("http", http.port, is_resolver=True),
            ):
                with pytest.raises(NetworkError, match="the proxy office"):
                    await fetch(client, "https://nobody.invalid/f", options_for(proxy, Authority().client_context()))
        assert http.requests() == ["CONNECT nobody.invalid:443 HTTP/1.1"]


@pytest.mark.parametrize("scheme", ["http", "socks5"])
@pytest.mark.parametrize("is_tls", [False, True])
async def test_the_policy_holds_for_the_target_before_the_proxy_is_asked(scheme: str, is_tls: bool) -> None:
    asked = []

    async def record(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.read(100))

    async with serve_raw(record) as port, open_client(["10.0.0.1"]) as client:
        options = options_for(make_proxy(scheme, port), Authority().client_context() if is_tls else None)
        with pytest.raises(DomainBlockedError, match=r"a\.example resolves to an address that is not allowed"):
            await fetch(client, f"http{'s' if is_tls else ''}://a.example/f", options)
    assert asked == []


@pytest.mark.parametrize("scheme", ["http", "https", "socks5"])
async def test_the_policy_holds_for_the_proxy(scheme: str) -> None:
    async with open_client(["8.8.8.8"], rules=AddressRules()) as client:
        with pytest.raises(DomainBlockedError, match="proxy office is at an address that is not allowed; add it to"):
            await fetch(client, "http://a.example/f", options_for(make_proxy(scheme, 1)))


async def test_the_name_of_a_proxy_that_is_unknown_is_its_own_error() -> None:
    proxy = Proxy(name="office", url=ProxyUrl(scheme="http", host="proxy.example", port=1), is_resolver=False)
    async with open_client(["127.0.0.1"], []) as client:
        with pytest.raises(NetworkError, match="the name of the proxy office could not be resolved"):
            await fetch(client, "http://a.example/f", options_for(proxy))


@pytest.mark.parametrize("user", ["", "someone"])
async def test_a_wrong_password_is_a_permanent_error_that_names_the_setting(tmp_path: Path, user: str) -> None:
    with (
        run_http_proxy(tmp_path, user="someone", password="right") as http,
        run_socks_proxy(user="someone", password="right") as socks,
    ):
        async with open_client() as client:
            for scheme, port in (("http", http.port), ("socks5", socks)):
                proxy = make_proxy(scheme, port, user=user, password="wr0ng")
                # Without a tunnel, tinyproxy's answer to a wrong password looks like one of the origin.
                for tls in (Authority().client_context(), *(() if user else (None,))):
                    with pytest.raises(NetworkError, match="the proxy office") as caught:
                        await fetch(client, f"http{'s' if tls else ''}://127.0.0.1:1/f", options_for(proxy, tls))
                    assert "wr0ng" not in caught.value.detail
                    if scheme == "http":
                        assert caught.value.permanent
                        assert "[[proxies]]" in caught.value.detail


async def test_a_proxy_is_reached_by_tls_also_for_origins_with_tls() -> None:
    """The relay to a real CONNECT proxy, which is asked through TLS."""
    authority = Authority()

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = (await reader.readuntil(b"\r\n\r\n")).split()
        host, _, port = line[1].decode().rpartition(":")
        to_origin, from_client = await asyncio.open_connection(host, int(port))
        try:
            writer.write(b"HTTP/1.1 200 Connected\r\n\r\n")
            await asyncio.gather(pump(reader, from_client), pump(to_origin, writer))
        finally:
            from_client.transport.abort()

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.close()

    async with (
        open_recording_origin(authority.server_context("a.example")) as origin,
        serve_tls(connect, authority.server_context()) as port,
        open_client() as client,
    ):
        proxy = make_proxy("https", port)
        options = options_for(proxy, authority.client_context(), proxy_tls=authority.client_context())
        for _ in range(2):
            assert await fetch(client, f"https://a.example:{origin.port}/f", options) == 200
        assert len(origin.peers) == 1
        with pytest.raises(NetworkError, match="certificate is not trusted"):
            await fetch(
                client,
                f"https://a.example:{origin.port}/f",
                options_for(proxy, authority.client_context(), proxy_tls=Authority().client_context()),
            )


@asynccontextmanager
async def serve_tls(handle: Handler, context: SSLContext) -> AsyncIterator[int]:
    async def start_tls(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await writer.start_tls(context)
        await handle(reader, writer)

    async with serve_raw(start_tls) as port:
        yield port


@pytest.mark.parametrize(
    ("data", "message", "permanent"),
    [
        (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", "answered 403 to CONNECT", True),
        (b"HTTP/1.1 403 Forbidden\r\nRetry-After: 1\r\n\r\n", "answered 403 to CONNECT", True),
        (b"HTTP/1.1 421 Misdirected Request\r\n\r\n", "answered 421 to CONNECT", False),
        (b"HTTP/1.1 429 Too Many Requests\r\n\r\n", "answered 429 to CONNECT", False),
        (b"HTTP/1.1 501 Not Implemented\r\n\r\n", "answered 501 to CONNECT", True),
        (b"HTTP/1.1 502 Bad Gateway\r\n\r\n", "answered 502 to CONNECT", False),
        (b"HTTP/1.1 505 HTTP Version Not Supported\r\n\r\n", "answered 505 to CONNECT", True),
        (b"HTTP/1.1 522 Connection Timed Out\r\n\r\n", "answered 522 to CONNECT", False),
        (b"HTTP/1.1 302 Found\r\nLocation: http://login.example/\r\n\r\n", "answered 302 to CONNECT", True),
        (b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "requires a user and password", True),
        (b"HTTP/1.1 200 OK\r\n\r\n<html>", "sent content in place of a tunnel", False),
        (b"<html>", "does not speak HTTP: another protocol", False),
        (b"HTTP/1.1 200 OK\r\nno field\r\n\r\n", "does not speak HTTP", False),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 1000, "does not speak HTTP: too many", False),
        (b"HTTP/1.1 200", "closed the connection", False),
        (b"", "closed the connection", False),
    ],
)
async def test_a_wrong_answer_to_connect_is_an_error_of_the_proxy(data: bytes, message: str, permanent: bool) -> None:
    async with serve_raw(answer_with(data)) as port, open_client() as client:
        options = options_for(make_proxy("http", port), Authority().client_context())
        with pytest.raises(NetworkError, match=f"the proxy office .*{message}") as caught:
            await fetch(client, "https://a.example/f", options)
        assert (caught.value.kind, caught.value.permanent) == (NetworkErrorKind.CONNECT, permanent)


@pytest.mark.parametrize(
    "data", [b"", b"\x05\xff", b"\x05\x02", b"\x04\x00", b"HTTP/1.1 200 OK\r\n\r\n", b"\x05\x00\x05"]
)
async def test_a_wrong_answer_of_a_socks_proxy_is_its_error(data: bytes) -> None:
    async with serve_raw(answer_with(data)) as port, open_client() as client:
        with pytest.raises(NetworkError, match="the proxy office"):
            await fetch(client, "http://a.example/f", options_for(make_proxy("socks5", port)))


@pytest.mark.parametrize("scheme", ["http", "socks5"])
async def test_a_proxy_that_hangs_ends_with_the_timeout(scheme: str) -> None:
    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    async with serve_raw(hang) as port, open_client() as client:
        options = ConnectionOptions(tls=Authority().client_context(), proxy=make_proxy(scheme, port))
        with pytest.raises(NetworkError, match=r"no connection to the origin within 0\.2 s"):
            await fetch(client, "https://a.example/f", options, Timeouts(connect=0.2, stall=5))


@pytest.mark.parametrize("scheme", ["http", "socks5"])
async def test_a_proxy_that_is_not_there_is_named(scheme: str) -> None:
    async with open_client() as client:
        with pytest.raises(NetworkError, match=r"the proxy office could not be .*Connection refused"):
            await fetch(client, "http://a.example/f", options_for(make_proxy(scheme, 1)))


async def test_a_407_to_a_request_without_tunnel_is_an_error_of_the_proxy() -> None:
    answer = answer_with(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
    async with serve_raw(answer) as port, open_client() as client:
        proxy = make_proxy("http", port, user="u", password="p4ss")
        with pytest.raises(NetworkError, match=r"office refused its user and password; set them in \[\[proxies\]\]"):
            await fetch(client, "http://a.example/f", options_for(proxy))


async def test_a_407_through_a_tunnel_is_an_answer_of_the_origin() -> None:
    answer = answer_with(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
    async with serve_raw(answer) as port, open_client() as client:
        with run_socks_proxy() as socks:
            assert await fetch(client, f"http://a.example:{port}/f", options_for(make_proxy("socks5", socks))) == 407


async def test_the_next_address_is_tried_when_a_proxy_cannot_connect_to_one(tmp_path: Path) -> None:
    authority = Authority()
    async with open_recording_origin(authority.server_context("a.example")) as origin:
        with run_http_proxy(tmp_path) as http, run_socks_proxy() as socks:
            for proxy in (make_proxy("http", http.port), make_proxy("socks5", socks)):
                async with open_client(["127.0.0.9", "127.0.0.1"]) as client:
                    options = options_for(proxy, authority.client_context())
                    assert await fetch(client, f"https://a.example:{origin.port}/f", options) == 200
            assert [line.split()[1] for line in http.requests()] == [
                f"127.0.0.9:{origin.port}",
                f"127.0.0.1:{origin.port}",
            ]


def test_no_password_is_shown() -> None:
    proxy = make_proxy("http", 3128, user="u", password="p4ss")
    assert "p4ss" not in repr(proxy)
    assert "p4ss" not in repr(options_for(proxy))


def test_a_user_name_may_have_any_characters() -> None:
    assert proxy_authorization(make_proxy("http", 1)) is None
    value = proxy_authorization(make_proxy("http", 1, user="ü", password="a:b"))
    assert value == "Basic w7w6YTpi"


def test_the_authority_of_an_ipv6_address_has_brackets() -> None:
    assert Target(host="::1", port=443).authority == "[::1]:443"
    assert Target(host="a.example", port=80).authority == "a.example:80"
