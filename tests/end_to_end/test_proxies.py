"""The daemon behind nginx and Caddy as documented: prefix, TLS, streams, uploads, client addresses, refusals."""

import io
import json
import os
import shutil
import ssl
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import trustme
from support.daemon_process import DEFAULT_CONFIG, TOKEN, DaemonProcess
from support.ports import free_port
from support.waiting import CONDITION_TIMEOUT, wait_until
from yarl import URL

HOW_TO = Path(__file__).parents[2] / "docs/how-to"
CONFIG = (HOW_TO / "nginx.conf").read_text()
CADDYFILE = (HOW_TO / "deployment.md").read_text().partition("```caddyfile\n")[2].partition("```")[0]
BASE = "/downloads-api"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


def server(**keys: Any) -> str:
    lines = "".join(f"{key} = {json.dumps(value)}\n" for key, value in keys.items())
    return f"{DEFAULT_CONFIG}\n[server]\n{lines}"


@contextmanager
def nginx(folder: Path, upstream: str) -> Iterator[tuple[str, ssl.SSLContext]]:
    """Run the documented proxy with paths that a test can write; yield its address and a TLS context that trusts it."""
    folder.mkdir()
    authority, port = trustme.CA(), free_port()
    certificate = authority.issue_cert("localhost", "127.0.0.1")
    certificate.private_key_and_cert_chain_pem.write_to_path(str(folder / "dl.pem"))
    site = CONFIG
    for documented, real in (
        ("server 127.0.0.1:8080;", f"server {upstream};"),
        ("listen 443 ssl;", f"listen 127.0.0.1:{port} ssl;"),
        ("server_name dl.example.com;", "server_name localhost;"),
        ("/etc/ssl/dl.example.com.pem", str(folder / "dl.pem")),
        ("/etc/ssl/dl.example.com.key", str(folder / "dl.pem")),
    ):
        assert documented in site
        site = site.replace(documented, real)
    temporary = "".join(
        f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log;"
        f"events {{}} http {{ access_log off; {temporary}\n{site} }}"
    )
    program = shutil.which("nginx") or "/usr/sbin/nginx"
    process = subprocess.Popen([program, "-p", folder, "-c", folder / "nginx.conf", "-e", folder / "error.log"])
    context = ssl.create_default_context()
    authority.configure_trust(context)
    try:
        yield f"https://localhost:{port}", context
    finally:
        process.terminate()
        process.wait(CONDITION_TIMEOUT)


async def answered(session: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with session.get(url) as response:
            return response.status == 200
    except aiohttp.ClientConnectionError:
        return False


async def use_everything(session: aiohttp.ClientSession, site: str, port: int) -> None:
    """Use the daemon at `port` through a site, as the page does: origins, event stream, start, large upload."""
    # A page of the same site, and one of another site.
    for origin, status in ((site, 200), ("https://evil.example", 403), (site.replace("s:", ":"), 403)):
        async with session.get(f"{site}{BASE}/api/v1/downloads", headers={"Origin": origin}) as response:
            assert response.status == status, origin
    async with session.get(f"{site}{BASE}/api/v1/openapi.json") as response:
        assert (await response.json())["servers"] == [{"url": BASE}]
    # The stream sends events of a download before it ends: the proxy does not buffer it.
    async with session.get(f"{site}{BASE}/api/v1/events") as events:
        query = {"download": f"http://127.0.0.1:{port}{BASE}/api/v1/health", "filename": "one"}
        async with session.get(f"{site}{BASE}/a%2Fb", params=query) as response:
            started, location = await response.json(), response.headers["Location"]
            assert response.status == 201
        assert location == f"{BASE}/api/v1/downloads/{started['download_id']}"
        async for line in events.content:
            if started["download_id"].encode() in line:
                break
    async with session.get(site + location) as response:
        assert (await response.json())["directory"] == "a/b"
    # More than nginx accepts by default.
    upload = {"importerKey": "urls", "fileName": "big.txt"}
    body = io.BytesIO(b"# nothing\n" * 400_000 + b"http://127.0.0.1/f\n")
    async with session.post(f"{site}{BASE}/api/v1/imports", params=upload, data=body) as response:
        assert response.status == 201, await response.text()


@pytest.mark.parametrize("through", ["tcp", "unix"])
async def test_everything_works_behind_nginx_below_a_prefix_with_tls(tmp_path: Path, through: str) -> None:
    socket, port = tmp_path / "api.sock", free_port()
    config = server(
        base_path=BASE,
        allowed_hosts=["localhost"],
        trusted_proxies=["127.0.0.1/32"] if through == "tcp" else ["unix"],
        max_failed_logins=3,
        unix_socket=str(socket),
    )
    flags = ("--allow-download", "--port", str(port))
    upstream = f"127.0.0.1:{port}" if through == "tcp" else f"unix:{socket}"
    async with DaemonProcess(tmp_path, config=config, flags=flags) as daemon:
        with nginx(tmp_path / "nginx", upstream) as (site, context):
            connector = aiohttp.TCPConnector(ssl=context)
            async with aiohttp.ClientSession(connector=connector, headers=BEARER) as session:
                await wait_until(lambda: answered(session, f"{site}{BASE}/api/v1/health"))
                await use_everything(session, site, port)
                # Nothing of the upload was written to a buffer file.
                assert not any((tmp_path / "nginx" / "client_body").iterdir())
                # A client with failed logins is throttled whatever address it claims; nginx replaces the field.
                await assert_throttled(session, f"{site}{BASE}/api/v1/downloads", after=3)
            # Another client is not throttled.
            elsewhere = aiohttp.TCPConnector(ssl=context, local_addr=("127.0.0.2", 0))
            async with aiohttp.ClientSession(connector=elsewhere) as session:
                address = site.replace("localhost", "127.0.0.1")
                fields = {"Authorization": "Bearer wrong", "Host": URL(site).authority}
                async with session.get(f"{address}{BASE}/api/v1/downloads", headers=fields) as response:
                    assert response.status == 401

        def clients() -> set[str]:
            return {line["client"] for line in daemon.log_lines() if line["event"] == "request"}

        await wait_until(lambda: clients() == {"127.0.0.1", "127.0.0.2"})


async def assert_throttled(session: aiohttp.ClientSession, url: str, *, after: int) -> None:
    """Assert that a client is throttled after so many failed logins, whatever addresses it claims."""
    for number in range(after + 1):
        claims = {
            "Authorization": f"Bearer wrong-{number}",
            "X-Forwarded-For": f"9.9.9.{number}",
            "Forwarded": f"for=8.8.8.{number}",
        }
        async with session.get(url, headers=claims) as response:
            assert response.status == (401 if number < after else 429)


@contextmanager
def caddy(folder: Path, upstream: str) -> Iterator[tuple[str, ssl.SSLContext]]:
    """Run the documented proxy with a certificate of the test; yield its address and a TLS context that trusts it."""
    folder.mkdir()
    authority, port = trustme.CA(), free_port()
    certificate = folder / "dl.pem"
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(certificate))
    text = CADDYFILE
    for documented, real in (
        ("dl.example.com {", f"https://localhost:{port} {{\n\tbind 127.0.0.1\n\ttls {certificate} {certificate}"),
        ("127.0.0.1:8080", upstream),
    ):
        assert documented in text
        text = text.replace(documented, real)
    (folder / "Caddyfile").write_text(f"{{\n\tadmin off\n\tauto_https disable_redirects\n\tgrace_period 1s\n}}\n{text}")
    command = ["caddy", "run", "--adapter", "caddyfile", "--config", str(folder / "Caddyfile")]
    environment = {**os.environ, "HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stderr=log)
    context = ssl.create_default_context()
    authority.configure_trust(context)
    try:
        yield f"https://localhost:{port}", context
    finally:
        process.terminate()
        process.wait(CONDITION_TIMEOUT)


async def test_everything_works_behind_caddy_below_a_prefix_with_tls(tmp_path: Path) -> None:
    port = free_port()
    config = server(base_path=BASE, allowed_hosts=["localhost"], trusted_proxies=["127.0.0.1"], max_failed_logins=2)
    async with DaemonProcess(tmp_path, config=config, flags=("--allow-download", "--port", str(port))):
        with caddy(tmp_path / "caddy", f"127.0.0.1:{port}") as (site, context):
            connector = aiohttp.TCPConnector(ssl=context)
            async with aiohttp.ClientSession(connector=connector, headers=BEARER) as session:
                await wait_until(lambda: answered(session, f"{site}{BASE}/api/v1/health"))
                await use_everything(session, site, port)
                async with session.get(f"{site}{BASE}") as response:
                    assert (response.status, response.url.path) == (200, f"{BASE}/")
                # Caddy replaces what a client claims of its address.
                await assert_throttled(session, f"{site}{BASE}/api/v1/downloads", after=2)


@pytest.mark.parametrize(
    ("keys", "line", "error", "advice"),
    [
        pytest.param(
            {"trusted_proxies": ["127.0.0.1/32"], "allowed_hosts": ["dl.example.com"]},
            "",
            "CROSS_SITE_REQUEST",
            "server is 127.0.0.1:{port}; if a proxy forwards to it, have the proxy send the Host field",
            id="Host is not forwarded",
        ),
        pytest.param(
            {"allowed_hosts": ["dl.example.com"]},
            "proxy_set_header X-Forwarded-Host $http_host;",
            "CROSS_SITE_REQUEST",
            "is dl.example.com, but its sender is not trusted: add the proxy to server.trusted_proxies",
            id="proxy is not trusted",
        ),
        pytest.param(
            {},
            "proxy_set_header Host $http_host;",
            "HOST_NOT_ALLOWED",
            "Host: dl.example.com is not a name of this server, which was reached at 127.0.0.1:{port}; "
            "add it to server.allowed_hosts if it is",
            id="name is not allowed",
        ),
    ],
)
async def test_a_refusal_behind_a_proxy_says_what_to_change(
    tmp_path: Path, keys: dict[str, Any], line: str, error: str, advice: str
) -> None:
    folder, listen, port = tmp_path / "nginx", free_port(), free_port()
    folder.mkdir()
    (folder / "nginx.conf").write_text(
        f"daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log; events {{}} http {{ "
        f"access_log off; server {{ listen 127.0.0.1:{listen}; "
        f"location / {{ proxy_pass http://127.0.0.1:{port}; {line} }} }} }}"
    )
    program = shutil.which("nginx") or "/usr/sbin/nginx"
    async with DaemonProcess(tmp_path, config=server(**keys), flags=("--port", str(port))) as daemon:
        process = subprocess.Popen([program, "-p", folder, "-c", folder / "nginx.conf", "-e", folder / "error.log"])
        try:
            async with aiohttp.ClientSession(headers=BEARER) as session:
                fields = {"Host": "dl.example.com", "Origin": "http://dl.example.com"}
                url = f"http://127.0.0.1:{listen}/api/v1/downloads"

                async def is_forwarded() -> bool:
                    with suppress(aiohttp.ClientConnectionError):
                        async with session.get(url) as response:
                            return response.status in {200, 403, 421}
                    return False

                await wait_until(is_forwarded)
                async with session.get(url, headers=fields) as response:
                    answer = await response.json()
        finally:
            process.terminate()
            process.wait(CONDITION_TIMEOUT)
        assert answer["error"] == error
        assert advice.format(port=port) in answer["detail"]
        assert "dl.example.com" in answer["detail"]
        await wait_until(lambda: answer["detail"] in [line.get("detail") for line in daemon.log_lines()])


async def ask(daemon: DaemonProcess, path: str, fields: Sequence[tuple[str, str]]) -> int:
    url = URL(daemon.url + path, encoded=True)
    async with aiohttp.ClientSession() as session, session.get(url, headers=fields) as response:
        return response.status


async def test_paths_outside_of_the_base_path_are_not_found(tmp_path: Path) -> None:
    async with DaemonProcess(tmp_path, config=server(base_path=BASE)) as daemon:
        # The address in the log may include the path.
        daemon.url = daemon.url.removesuffix(BASE)
        bearer = [("Authorization", f"Bearer {TOKEN}")]
        for path in ("/api/v1/health", "/api/v1/downloads", f"{BASE}x/api/v1/health", "/downloads%2Dapi/api/v1/health",
                     "/d?downloads=", f"/{BASE}/api/v1/health"):  # fmt: skip
            assert await ask(daemon, path, bearer) == 404, path
        for path in ("/api/v1/health", "/d?downloads=", "?downloads=", "/?download_history="):
            assert await ask(daemon, BASE + path, bearer) == 200, path


async def test_clients_behind_a_trusted_proxy_are_counted_separately_and_other_proxies_are_not_trusted(
    tmp_path: Path,
) -> None:
    wrong = [("Authorization", "Bearer wrong")]
    config = server(trusted_proxies=["127.0.0.1"], max_failed_logins=1)
    async with DaemonProcess(tmp_path, config=config) as daemon:
        path = "/api/v1/downloads"
        for number in range(2):
            assert await ask(daemon, path, [*wrong, ("X-Forwarded-For", f"9.9.9.{number}")]) == 401
        assert await ask(daemon, path, [*wrong, ("X-Forwarded-For", "1.1.1.1, 9.9.9.0")]) == 429
        assert await ask(daemon, path, [*wrong, ("Forwarded", 'for="[2001:db8::1]:443"')]) == 401
        # A name that is not allowed is refused, whatever the name of the proxy.
        assert await ask(daemon, "/api/v1/health", [("X-Forwarded-Host", "evil.example")]) == 421
        for spoiled in ("\x80", ",,,", "unknown", "1.2.3.4.5", "a" * 5000, '"', "[::1", "for=", "٣.1.1.1"):
            fields = [("X-Forwarded-For", spoiled), ("Forwarded", spoiled), ("X-Forwarded-Proto", spoiled)]
            assert await ask(daemon, "/api/v1/health", fields) == 200, spoiled
    other = tmp_path / "other"
    other.mkdir()
    async with DaemonProcess(other, config=server(max_failed_logins=1)) as daemon:
        assert await ask(daemon, path, [*wrong, ("X-Forwarded-For", "9.9.9.1")]) == 401
        assert await ask(daemon, path, [*wrong, ("X-Forwarded-For", "9.9.9.2")]) == 429
