"""Servers that demand Digest authentication, a client certificate or a cookie: lighttpd, Apache and nginx."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from support.daemon_process import DaemonProcess, make_config
from support.digest_servers import PASSWORD, USER, Apache, DigestServer, Lighttpd, LoggedRequest, make_server_folder
from support.nginx_origin import NginxOrigin
from support.origin.tls import Authority
from support.ports import free_port
from support.waiting import wait_until

MakeServer = Callable[[Path], DigestServer]

SECRET: Final = "hush"
AUTH: Final = {"user": USER, "password": PASSWORD}
WRONG: Final = {"user": USER, "password": f"{SECRET}-wrong"}
SIZE: Final = 48_000_000
"""Bytes of a file that is larger than the buffers of its connection."""


def make_lighttpd(folder: Path) -> Lighttpd:
    return Lighttpd(folder, algorithms="SHA-256")


def make_lighttpd_of_choice(folder: Path) -> Lighttpd:
    return Lighttpd(folder, algorithms="MD5|SHA-256", hashes_user=True)


SERVERS: Final[list[Any]] = [pytest.param(make_lighttpd, id="lighttpd"), pytest.param(Apache, id="apache")]


@pytest.fixture
def server_folder() -> Iterator[Path]:
    folder = make_server_folder()
    yield folder
    shutil.rmtree(folder)


def write_files(www: Path, *names: str, size: int = 100_000) -> dict[str, bytes]:
    """Write files of random bytes; return their content by name."""
    contents = {name: os.urandom(size) for name in names}
    for name, content in contents.items():
        (www / name).write_bytes(content)
        # Old enough for a strong validator.
        os.utime(www / name, (1_600_000_000, 1_600_000_000))
    return contents


def credentials(password: str) -> str:
    return f"[[credentials]]\nhost = '127.0.0.1'\nuser = '{USER}'\npassword = '{password}'\n"


async def start(daemon: DaemonProcess, *items: dict[str, Any]) -> list[str]:
    """Start downloads by one batch; return their ids."""
    status, body = await daemon.request("POST", "/api/v1/downloads", json={"downloads": items})
    assert status == 201, body
    return [each["download_id"] for each in body["downloads"]]


async def fetch(daemon: DaemonProcess, url: str, **item: Any) -> dict[str, Any]:
    """Start a download and return its entry once it has ended."""
    [id] = await start(daemon, {"url": url, **item})
    return await daemon.wait_until_finished(id)


async def wait_for_log(server: DigestServer, count: int) -> list[LoggedRequest]:
    """Return the requests that were refused, once so many others are logged."""

    def is_logged() -> bool:
        return sum(request.status != 401 for request in server.requests()) >= count

    await wait_until(is_logged)
    return [request for request in server.requests() if request.status == 401]


# -- Digest ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "algorithm"),
    [
        pytest.param(make_lighttpd, "SHA-256", id="lighttpd, SHA-256"),
        pytest.param(make_lighttpd_of_choice, "SHA-256", id="lighttpd, MD5 or SHA-256, userhash"),
        pytest.param(Apache, "MD5", id="apache"),
    ],
)
async def test_each_place_of_a_password_is_used_and_a_wrong_one_refused(
    tmp_path: Path, server_folder: Path, make: MakeServer, algorithm: str
) -> None:
    wrong, right = (make_config() + credentials(each) for each in (WRONG["password"], PASSWORD))
    with make(server_folder) as server:
        expected = write_files(server.www, "auth", "userinfo", "a b,c=d")
        async with DaemonProcess(tmp_path, config=wrong) as daemon:
            entries = [
                await fetch(daemon, server.url("/auth"), auth=AUTH),
                await fetch(daemon, server.url("/userinfo", user=USER, password=PASSWORD)),
            ]
            await wait_for_log(server, 2)
            answered = [request for request in server.requests() if request.status == 200]
            before = len(server.requests())
            refused = await fetch(daemon, server.url("/auth"))
            await wait_until(lambda: len(server.requests()) >= before + 2)
            refusals = server.requests()[before:]
            await daemon.reload(right)
            entries.append(await fetch(daemon, server.url("/a%20b,c=d?x=1,2&y=%22"), filename="a b,c=d"))
            await daemon.reload(make_config())
            missing = await fetch(daemon, server.url("/auth"))
            shown = repr([await daemon.history(), *entries, refused, missing]) + daemon.log.read_text()
            assert daemon.files() == expected
    assert [entry["status"] for entry in entries] == ["completed"] * 3
    assert all(f"algorithm={algorithm}" in request.authorization for request in answered)
    assert (refused["status"], refused["error"]) == ("failed", "REMOTE_ERROR")
    assert refused["detail"].startswith("the origin answered 401: it refused user and password")
    # It is not repeated.
    assert [request.authorization.partition(" ")[0] for request in refusals] == ["Basic", "Digest"]
    assert (missing["status"], missing["error"]) == ("failed", "REMOTE_ERROR")
    assert "it needs a user and password: state auth" in missing["detail"]
    assert SECRET not in shown


@pytest.mark.parametrize("make", SERVERS)
async def test_many_files_use_the_nonces_of_the_first_ones(
    tmp_path: Path, server_folder: Path, make: MakeServer
) -> None:
    slots = 4
    with make(server_folder) as server:
        expected = write_files(server.www, *(f"{number:02}" for number in range(60)), size=10_000)
        async with DaemonProcess(tmp_path, config=make_config(max_per_host=slots)) as daemon:

            async def fetch_all(names: list[str]) -> None:
                ids = await start(daemon, *({"url": server.url(f"/{name}"), "auth": AUTH} for name in names))
                for id in ids:
                    assert (await daemon.wait_until_finished(id))["status"] == "completed"

            names = list(expected)
            await fetch_all(names[:30])
            # Each slot may have asked before the first challenge came.
            assert 1 <= len(await wait_for_log(server, 30)) <= slots
            await fetch_all(names[30:])
            assert {request.target[1:] for request in await wait_for_log(server, 60)} <= set(names[:30])
            assert daemon.files() == expected


@pytest.mark.parametrize("make", SERVERS)
async def test_a_transfer_continues_after_a_restart_of_the_server_and_a_kill(
    restartable: DaemonProcess, server_folder: Path, make: MakeServer
) -> None:
    server, daemon = make(server_folder), restartable
    expected = write_files(server.www, "f", size=SIZE)
    with server:
        await daemon.start()
        [id] = await start(daemon, {"url": server.url("/f"), "auth": AUTH, "speed_limit": 16_000_000})

        async def has_received(more_than: int, *, is_retry: bool) -> int:
            entry = await daemon.get_download(id)
            size = int(entry["current_size"])
            return size if size > more_than and (entry["attempt"] > 1) is is_retry else 0

        await wait_until(lambda: has_received(0, is_retry=False))
        before = len(await wait_until(server.requests))
        server.stop()
        server.start()
        kept = await wait_until(lambda: has_received(0, is_retry=True))
        await wait_until(lambda: has_received(kept, is_retry=True))
        await daemon.amend(id, speed_limit=1_000_000)
        await daemon.kill()
        await daemon.start()
        await daemon.amend(id, speed_limit=0)
        entry = await daemon.wait_until_finished(id)
        assert (entry["status"], daemon.files() == expected) == ("completed", True)
        await wait_until(lambda: server.requests()[-1].status == 206)
        requests = server.requests()[before:]
        assert SECRET not in daemon.log.read_text()
    # The attempt that the restart has cut may be logged with the status of its head.
    continued = [request for request in requests if request.status != 200]
    assert all(request.range != "-" for request in continued)
    answered = [
        request for request in continued if request.status == 401 and request.authorization.startswith("Digest")
    ]
    # Lighttpd knows its nonces again, by a hash.
    assert len(answered) == (1 if isinstance(server, Apache) else 0)


async def test_a_nonce_that_has_expired_is_replaced(daemon: DaemonProcess, server_folder: Path) -> None:
    lifetime, count = 1, 0
    with Apache(server_folder, nonce_seconds=lifetime) as server:
        write_files(server.www, "f")

        async def is_refused_again() -> bool:
            nonlocal count
            count += 1
            entry = await fetch(daemon, server.url("/f"), auth=AUTH, conflict="overwrite")
            assert entry["status"] == "completed", entry
            return len(await wait_for_log(server, count)) > 1

        # Each response names a new nonce, which is used if it has not expired.
        await wait_until(is_refused_again, every=lifetime + 0.1)
        refused = await wait_for_log(server, count)
        assert [request.authorization.partition(" ")[0] for request in refused] == ["Basic", "Digest"]


async def test_nonces_for_one_request_each_are_those_of_the_responses_before(
    daemon: DaemonProcess, server_folder: Path
) -> None:
    with Apache(server_folder, nonce_seconds=0) as server:
        expected = write_files(server.www, *map(str, range(400)), size=1_000)
        items: list[dict[str, Any]] = [{"url": server.url(f"/{name}"), "auth": AUTH} for name in expected]
        for item in items[:5]:
            assert (await fetch(daemon, **item))["status"] == "completed"
        assert [request.target for request in await wait_for_log(server, 5)] == ["/0"]
        # Downloads at once replace the nonces of each other.
        for id in await start(daemon, *items[5:]):
            entry = await daemon.wait_until_finished(id)
            assert entry["status"] == "completed", entry
        assert daemon.files() == expected


# -- client certificates -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", ["TLSv1.2", "TLSv1.3"])
async def test_nginx_gets_the_client_certificate_that_it_demands(tmp_path: Path, protocol: str) -> None:
    authority, keys = Authority(), tmp_path / "keys"
    keys.mkdir()
    (keys / "clients.pem").write_bytes(authority.certificate)
    for name, issuer in (("right", authority), ("foreign", Authority())):
        certificate = issuer.issue("client")
        (keys / f"{name}.pem").write_bytes(b"".join(blob.bytes() for blob in certificate.cert_chain_pems))
        (keys / f"{name}.key").write_bytes(certificate.private_key_pem.bytes())
    lines = f"ssl_client_certificate {keys}/clients.pem; ssl_verify_client on; ssl_protocols {protocol};"
    with NginxOrigin(tmp_path / "nginx", locations=lines) as nginx:
        expected = write_files(nginx.www, "f")

        def config(certificate: str, version: str = "1.2") -> str:
            table = f"[[hosts]]\nhost = '127.0.0.1'\nca_file = '{nginx.ca}'\nmin_tls_version = '{version}'\n"
            if certificate:
                table += f"client_certificate = '{keys}/{certificate}.pem'\nclient_key = '{keys}/{certificate}.key'\n"
            return make_config() + table

        async with DaemonProcess(tmp_path, config=config("foreign")) as daemon:

            async def failure() -> tuple[str, str]:
                entry = await fetch(daemon, f"{nginx.https}/f")
                assert entry["status"] == "failed"
                return entry["error"], entry["detail"]

            advice = "if it demands a client certificate, set client_certificate for the host in [[hosts]]"
            refused = ("REMOTE_ERROR", f"the origin answered 400: {advice}")
            assert await failure() == refused
            await daemon.reload(config(""))
            assert await failure() == refused
            if protocol == "TLSv1.2":
                await daemon.reload(config("right", version="1.3"))
                error, detail = await failure()
                assert error == "NETWORK_ERROR"
                assert "the server supports no version of TLS that is accepted" in detail
            await daemon.reload(config("right"))
            assert (await fetch(daemon, f"{nginx.https}/f"))["status"] == "completed"
            assert daemon.files() == expected


# -- cookies -----------------------------------------------------------------------------------------------------------


async def test_a_cookie_that_nginx_sets_and_demands_is_for_its_host_and_download_alone(
    daemon: DaemonProcess, tmp_path: Path
) -> None:
    value, www, port = f"{SECRET}-set", tmp_path / "nginx/www", free_port()
    set_cookie = f'add_header Set-Cookie "session={value}; Path=/"; return 302'
    lines = f"""
        listen 127.0.0.1:{port};
        location = /cookies {{ return 200 "$http_cookie"; }}
        location = /next {{ {set_cookie} /cookies; }}
        location = /other-host {{ {set_cookie} http://localhost:$server_port/cookies; }}
        location = /other-port {{ {set_cookie} http://127.0.0.1:{port}/cookies; }}
        location /demanding/ {{
            alias {www}/;
            if ($cookie_session != "{value}") {{ {set_cookie} $request_uri; }}
        }}
    """
    with NginxOrigin(tmp_path / "nginx", locations=lines) as nginx:
        expected = write_files(www, "f", "g")

        async def content(path: str, **cookies: str) -> bytes:
            """Return the file that a download gets."""
            url = nginx.http + path
            entry = await fetch(daemon, url, filename="file", conflict="overwrite", cookies=cookies)
            assert entry["status"] == "completed", entry
            return (daemon.root / "file").read_bytes()

        assert await content("/demanding/f") == expected["f"]
        assert await content("/demanding/g?a=%20&b=1") == expected["g"]
        assert await content("/demanding/f", session=value) == expected["f"]
        requests = await wait_until(lambda: nginx.requests() if len(nginx.requests()) >= 5 else None)
        # The second download did not have the cookie of the first one.
        assert [line.split()[8] for line in requests] == ["302", "200", "302", "200", "200"]
        given = {"mine": f"{SECRET}-given"}
        assert await content("/cookies", **given) == f"mine={SECRET}-given".encode()
        assert await content("/next", **given) == f"mine={SECRET}-given; session={value}".encode()
        assert await content("/other-host", **given) == b""
        # Another port is another origin, but cookies that a host sets are for all its ports (RFC 6265, section 8.5).
        assert await content("/other-port", **given) == f"session={value}".encode()
        assert await content("/cookies") == b""
        assert SECRET not in daemon.log.read_text() + repr(await daemon.history())
