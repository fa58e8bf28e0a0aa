"""Unauthorized and hostile clients of the real daemon: TLS, Unix sockets, failed logins, web pages, idle clients."""

import asyncio
import os
import resource
import socket
import ssl
import stat
import subprocess
import zlib
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from support.daemon_process import DEFAULT_CONFIG, TOKEN, DaemonProcess
from support.origin.origin import Origin
from support.origin.scripted_response import ScriptedResponse
from support.origin.tls import Authority
from support.waiting import CONDITION_TIMEOUT, wait_until

from downloadd.daemon.listeners import bind_unix
from downloadd.errors import StartupError

AUTH = {"Authorization": f"Bearer {TOKEN}"}


def serving(**keys: str | int) -> str:
    """Return the configuration of the tests with these keys of `[server]`."""
    lines = "".join(f"{key} = {value!r}\n" for key, value in keys.items())
    return f"[server]\n{lines}{DEFAULT_CONFIG}"


def write_certificate(authority: Authority, folder: Path, name: str = "127.0.0.1") -> tuple[Path, Path]:
    """Write certificate and key for an address to two files."""
    cert, key = folder / "cert.pem", folder / "key.pem"
    issued = authority.issue(name)
    cert.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    key.write_bytes(issued.private_key_pem.bytes())
    return cert, key


@pytest.fixture
async def daemon(tmp_path: Path) -> AsyncIterator[DaemonProcess]:
    async with DaemonProcess(tmp_path) as daemon:
        yield daemon
        assert "Traceback" not in daemon.log.read_text()


# -- TLS ---------------------------------------------------------------------------------------------------------------


def shown_certificate(url: str) -> bytes:
    """Return the certificate of a daemon without verification."""
    host, port = url.removeprefix("https://").split(":")
    return ssl.get_server_certificate((host, int(port)), timeout=5).encode()


async def test_the_api_speaks_tls_and_a_reload_shows_the_new_certificate(tmp_path: Path) -> None:
    old, new = Authority(), Authority()
    cert, key = write_certificate(old, tmp_path)
    config = serving(tls_cert=str(cert), tls_key=str(key))
    async with DaemonProcess(tmp_path, config=config) as daemon:
        assert daemon.url.startswith("https://")
        client = daemon.client
        assert client is not None
        async with client.get(daemon.url + "/api/v1/downloads", ssl=old.client_context()) as answer:
            assert answer.status == 200
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await client.get(daemon.url + "/api/v1/downloads", ssl=new.client_context())
        # Half of a renewal: the key of the new certificate is missing.
        before = await asyncio.to_thread(shown_certificate, daemon.url)
        write_certificate(new, tmp_path)
        fresh_key = key.read_bytes()
        key.write_bytes(b"")
        await daemon.reload(config, "reload_refused")
        assert await asyncio.to_thread(shown_certificate, daemon.url) == before
        key.write_bytes(fresh_key)
        await daemon.reload(config)
        async with (
            aiohttp.ClientSession(headers=AUTH) as other,
            other.get(daemon.url + "/api/v1/downloads", ssl=new.client_context()) as answer,
        ):
            assert answer.status == 200


async def test_plain_http_on_the_tls_port_gets_nothing(tmp_path: Path) -> None:
    cert, key = write_certificate(Authority(), tmp_path)
    async with DaemonProcess(tmp_path, config=serving(tls_cert=str(cert), tls_key=str(key))) as daemon:
        host, port = daemon.url.removeprefix("https://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(f"GET /api/v1/health HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        async with asyncio.timeout(CONDITION_TIMEOUT):
            assert b"HTTP" not in await reader.read()
        writer.close()


@pytest.mark.filterwarnings("ignore:.*TLSv1:DeprecationWarning", "ignore:.*TLSv1_1:DeprecationWarning")
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
async def test_old_versions_of_tls_are_refused(tmp_path: Path, version: ssl.TLSVersion) -> None:
    authority = Authority()
    cert, key = write_certificate(authority, tmp_path)
    async with DaemonProcess(tmp_path, config=serving(tls_cert=str(cert), tls_key=str(key))) as daemon:
        context = authority.client_context()
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version = context.maximum_version = version
        host, port = daemon.url.removeprefix("https://").split(":")
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await asyncio.open_connection(host, int(port), ssl=context)


@pytest.mark.parametrize(
    ("cert", "key", "sentence"),
    [
        ("missing.pem", "", "cannot be read: No such file or directory"),
        ("garbage.pem", "", "it does not hold a certificate and key in PEM"),
        ("cert.pem", "other.pem", "key values mismatch"),
        ("cert.pem", "encrypted.pem", "is encrypted"),
    ],
)
async def test_an_unusable_certificate_is_named_at_the_start(
    tmp_path: Path, cert: str, key: str, sentence: str
) -> None:
    write_certificate(Authority(), tmp_path)
    (tmp_path / "garbage.pem").write_text("garbage")
    (tmp_path / "other.pem").write_bytes(Authority().issue("127.0.0.1").private_key_pem.bytes())
    other = load_pem_private_key((tmp_path / "other.pem").read_bytes(), None)
    (tmp_path / "encrypted.pem").write_bytes(
        other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
    )
    config = serving(tls_cert=str(tmp_path / cert), tls_key=str(tmp_path / key) if key else "")
    daemon = DaemonProcess(tmp_path, config=config)
    ended = await asyncio.to_thread(
        subprocess.run, daemon.command(), stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, timeout=20
    )
    assert ended.returncode == 1
    assert sentence in ended.stderr.decode()
    assert ended.stderr.count(b"\n") == 1


# -- a Unix socket -----------------------------------------------------------------------------------------------------


async def test_a_unix_socket_is_for_its_owner_and_group_and_needs_a_token(tmp_path: Path) -> None:
    path = tmp_path / "api.sock"
    async with DaemonProcess(tmp_path, config=serving(unix_socket=str(path))) as daemon:
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        # The host of a request over a Unix socket does not matter.
        async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(path))) as client:
            for fields, status in (({}, 401), (AUTH, 200)):
                async with client.get("http://whatever.example/api/v1/downloads", headers=fields) as answer:
                    assert answer.status == status
        await daemon.kill()
        # The socket of the killed daemon does not prevent the next start.
        assert path.exists()
        await daemon.start()
        assert await daemon.stop() == 0
        assert not path.exists()


async def test_every_address_and_unix_socket_of_the_list_answers(tmp_path: Path) -> None:
    paths = [str(tmp_path / "a.sock"), str(tmp_path / "b.sock")]
    config = f'[server]\nlisten = ["127.0.0.1", "127.0.0.2", "unix:{paths[0]}", "{paths[1]}"]\n{DEFAULT_CONFIG}'
    async with DaemonProcess(tmp_path, config=config) as daemon:
        async with aiohttp.ClientSession(headers=AUTH) as client:
            for url in (daemon.url, daemon.url.replace("127.0.0.1", "127.0.0.2")):
                async with client.get(f"{url}/api/v1/downloads") as answer:
                    assert answer.status == 200
        for path in paths:
            client = aiohttp.ClientSession(connector=aiohttp.UnixConnector(path), headers=AUTH)
            async with client, client.get("http://localhost/api/v1/downloads") as answer:
                assert answer.status == 200
        assert await daemon.stop() == 0
    assert not list(tmp_path.glob("*.sock"))


async def test_a_file_that_replaced_the_unix_socket_stays_at_the_stop(tmp_path: Path) -> None:
    path = tmp_path / "api.sock"
    async with DaemonProcess(tmp_path, config=serving(unix_socket=str(path))) as daemon:
        path.unlink()
        path.write_text("mine")
        assert await daemon.stop() == 0
    assert path.read_text() == "mine"


def test_a_unix_socket_replaces_no_other_file(tmp_path: Path) -> None:
    taken, file = tmp_path / "taken", tmp_path / "file"
    file.write_text("mine")
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(taken))
        other.listen(0)
        with pytest.raises(StartupError, match="another program listens there"):
            bind_unix(str(taken))
    with pytest.raises(StartupError, match="another file is there"):
        bind_unix(str(file))
    assert file.read_text() == "mine"
    with pytest.raises(StartupError, match="No such file or directory"):
        bind_unix(str(tmp_path / "nowhere" / "sock"))


# -- web pages, and failed logins --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"Origin": "https://evil.example"}, "CROSS_SITE_REQUEST"),
        ({"Origin": "null"}, "CROSS_SITE_REQUEST"),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}, "CROSS_SITE_REQUEST"),
        ({"Host": "rebound.evil.example"}, "HOST_NOT_ALLOWED"),
        (
            {"Host": "rebound.evil.example", "Origin": "http://rebound.evil.example", "Sec-Fetch-Site": "same-origin"},
            "HOST_NOT_ALLOWED",
        ),
    ],
)
async def test_a_page_of_another_site_starts_nothing_even_with_the_token(
    daemon: DaemonProcess, fields: dict[str, str], code: str
) -> None:
    async with Origin() as origin:
        origin.script("/f", ScriptedResponse(size=10))
        status, answer = await daemon.request("GET", "/d", params={"download": origin.url("/f")}, headers=fields)
        assert (status, answer["error"]) == ({"CROSS_SITE_REQUEST": 403, "HOST_NOT_ALLOWED": 421}[code], code)
        assert origin.requests("/f") == []
    assert await daemon.history() == []


async def test_host_names_of_the_configuration_are_accepted(tmp_path: Path) -> None:
    config = DEFAULT_CONFIG + '\n[server]\nallowed_hosts = ["dl.example.com"]\n'
    async with DaemonProcess(tmp_path, config=config) as daemon:
        for host, status in (("dl.example.com", 200), ("dl.example.com:8080", 200), ("example.com", 421)):
            assert (await daemon.request("GET", "/api/v1/downloads", headers={"Host": host}))[0] == status


async def test_failed_logins_end_in_429_and_do_not_affect_valid_ones(daemon: DaemonProcess) -> None:
    assert (await daemon.request("GET", "/api/v1/downloads"))[0] == 200
    guesses = [{"Authorization": f"Bearer {number}"} for number in range(27)]
    guesses += [{"Authorization": "", "X-User-Id": "alice", "X-Auth-Token": str(number)} for number in range(27)]
    statuses = [(await daemon.request("GET", "/api/v1/downloads", headers=guess))[0] for guess in guesses]
    assert statuses[:50] == [401] * 50
    assert statuses[-1] == 429
    assert (await daemon.request("GET", "/api/v1/downloads"))[0] == 200


# -- idle clients and bombs --------------------------------------------------------------------------------------------


async def test_ten_thousand_idle_connections_delay_no_other_client(daemon: DaemonProcess) -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    host, port = daemon.url.removeprefix("http://").split(":")
    before = daemon.resident_bytes()
    idle = []
    try:
        for number in range(10_000):
            one = socket.create_connection((host, int(port)), timeout=10)
            # Half of them have begun a request.
            if number % 2:
                one.sendall(b"GET / HTTP/1.1\r\nHost: ")
            idle.append(one)
        took = []
        for _ in range(20):
            watch = daemon.stopwatch()
            assert (await daemon.request("GET", "/api/v1/downloads"))[0] == 200
            took.append(watch.seconds)
        assert sorted(took)[10] < 0.5
        assert daemon.resident_bytes() - before < 250 * 1024 * 1024
    finally:
        for one in idle:
            one.close()

    def descriptors() -> int:
        assert daemon.process is not None
        return len(os.listdir(f"/proc/{daemon.process.pid}/fd"))

    await wait_until(lambda: descriptors() < 100)


async def test_bodies_that_would_expand_to_gigabytes_delay_no_other_client(daemon: DaemonProcess) -> None:
    packer = zlib.compressobj()
    bomb = b"".join(packer.compress(bytes(1 << 20)) for _ in range(256)) + packer.flush()
    assert daemon.client is not None
    before = daemon.resident_bytes()

    async def send_bomb(headers: dict[str, str]) -> int:
        fields = {"Content-Type": "application/json", "Content-Encoding": "deflate", **headers}
        assert daemon.client is not None
        async with daemon.client.post(f"{daemon.url}/api/v1/downloads", data=bomb, headers=fields) as answer:
            return answer.status

    thrown = asyncio.gather(*(send_bomb(headers) for headers in [{"Authorization": ""}, {}] * 8))
    took = []
    while not thrown.done():
        watch = daemon.stopwatch()
        assert (await daemon.request("GET", "/api/v1/health"))[0] == 200
        took.append(watch.seconds)
    assert await thrown == [401, 400] * 8
    assert max(took) < 0.5
    assert daemon.resident_bytes() - before < 64 << 20


async def test_a_url_in_the_wrong_parameter_is_logged_without_its_secrets(tmp_path: Path) -> None:
    async with DaemonProcess(tmp_path) as daemon:
        port = int(daemon.url.rpartition(":")[2])
        for target in ("/https://bob:s3cret@h.example/f", "/https:%2F%2Fbob:s3cret@h.example/f?downloads="):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(f"GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
            await reader.read()
            writer.close()
        status, answer = await daemon.request("GET", "/https:%2F%2Fbob:s3cret@h.example/f?download=http://h.example/x")
        assert (status, answer["error"]) == (400, "INVALID_PATH")
        await wait_until(lambda: sum(line["event"] == "request" for line in daemon.log_lines()) == 3)
        assert "s3cret" not in daemon.log.read_text()
