"""The daemon behind nginx with the documented configuration: prefix, TLS, streams, uploads, client addresses."""

import io
import json
import shutil
import ssl
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import trustme
from support.daemon_process import DEFAULT_CONFIG, TOKEN, DaemonProcess
from support.nginx_origin import free_port
from support.waiting import wait_until
from yarl import URL

CONFIG = (Path(__file__).parents[2] / "docs/how-to/nginx.conf").read_text()
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
        process.wait(10)


async def answered(session: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with session.get(url) as response:
            return response.status == 200
    except aiohttp.ClientConnectionError:
        return False


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
                # A page of the same site, and one of another site.
                for origin, status in ((site, 200), ("https://evil.example", 403), (site.replace("s:", ":"), 403)):
                    async with session.get(f"{site}{BASE}/api/v1/downloads", headers={"Origin": origin}) as response:
                        assert response.status == status, origin
                async with session.get(f"{site}{BASE}/api/v1/openapi.json") as response:
                    assert (await response.json())["servers"] == [{"url": BASE}]
                # The stream sends events of a download before it ends: nginx does not buffer it.
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
                    assert response.status == 200
                # More than nginx accepts by default, and not written to a buffer file.
                upload = {"importerKey": "urls", "fileName": "big.txt"}
                body = io.BytesIO(b"# nothing\n" * 400_000 + b"http://127.0.0.1/f\n")
                async with session.post(f"{site}{BASE}/api/v1/imports", params=upload, data=body) as response:
                    assert response.status == 201, await response.text()
                assert not any((tmp_path / "nginx" / "client_body").iterdir())
                # A client with failed logins is throttled whatever address it claims; nginx replaces the field.
                for number in range(4):
                    claims = {
                        "Authorization": f"Bearer wrong-{number}",
                        "X-Forwarded-For": f"9.9.9.{number}",
                        "Forwarded": f"for=8.8.8.{number}",
                    }
                    async with session.get(f"{site}{BASE}/api/v1/downloads", headers=claims) as response:
                        assert response.status == (401 if number < 3 else 429)
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
