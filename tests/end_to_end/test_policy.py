"""Policy on URLs: checked for each spelling and each address of a name, on each request and redirect."""

import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from support.daemon_process import DEFAULT_CONFIG, DaemonProcess, make_config
from support.fake_resolver import daemon_with_hosts
from support.origin.content import expected_bytes
from support.origin.origin import Origin
from support.origin.scripted_response import ScriptedResponse, redirect
from support.ports import free_port
from support.waiting import wait_until

CLOSED = DEFAULT_CONFIG.replace('allowed_networks = ["127.0.0.0/8", "::1/128"]\n', "")
"""Configuration with the default policy: only the public internet."""


@pytest.fixture
async def closed(tmp_path: Path) -> AsyncIterator[DaemonProcess]:
    async with DaemonProcess(tmp_path, config=CLOSED) as daemon:
        yield daemon


async def refused(daemon: DaemonProcess, url: str) -> dict[str, Any]:
    """Start a download that must be blocked and return its history entry."""
    status, answer = await daemon.fetch("d", url)
    assert (status, answer["success"], answer["error"]) == (403, False, "DOMAIN_BLOCKED"), (url, answer)
    entry = await daemon.get_download(answer["download_id"])
    assert (entry["status"], entry["error"], entry["total_bytes"]) == ("failed", "DOMAIN_BLOCKED", None), url
    assert entry["detail"]
    return entry


LOOPBACK = [
    "127.0.0.1", "127.255.255.254", "localhost", "LOCALHOST", "localhost.", "a.localhost", "%6cocalhost",
    "127%2e0%2e0%2e1", "\uff11\uff12\uff17.\uff10.\uff10.\uff11", "127\u30020\u30020\u30021",
    "\u2460\u2461\u2466.0.0.1", "\u24dbocalhost",
    "0.0.0.0", "[::]", "[::1]", "[0:0:0:0:0:0:0:1]", "[::0001]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]",
    "[::127.0.0.1]", "[64:ff9b::7f00:1]", "[64:ff9b:1::7f00:1]", "[2002:7f00:1::]", "[2001:0:7f00:1::]",
]  # fmt: skip
"""Spellings of this machine: IPv4, IPv6 around it, names, and other digits."""


async def test_this_machine_is_refused_in_every_spelling(closed: DaemonProcess, origin: Origin) -> None:
    async with Origin(host="::1") as origin6:
        for spelling in LOOPBACK:
            for port in (origin.port, origin6.port):
                await refused(closed, f"http://{spelling}:{port}/f")
            await refused(closed, f"http://u:p@{spelling}:{origin.port}/f")
        assert (origin.connections, origin6.connections) == (0, 0)
    assert len(await closed.history()) == 3 * len(LOOPBACK)
    assert closed.files() == {}


AMBIGUOUS = [
    "127.1", "127.0.1", "0x7f000001", "0x7f.1", "0x7F.0x0.0x0.0x1", "0177.0.0.1", "017700000001", "2130706433", "0",
    "127.0.0.1.", "010.000.000.001", "10.1", "192.168.257", "0xa9fea9fe", "0251.0376.0251.0376", "8.8.8.8.",
    "134744072",
]  # fmt: skip
"""Spellings of IPv4 addresses that programs read differently."""


async def test_an_ambiguous_spelling_is_refused_with_the_right_one(daemon: DaemonProcess) -> None:
    for spelling in AMBIGUOUS:
        status, answer = await daemon.fetch("d", f"http://{spelling}/f")
        assert (status, answer["error"]) == (400, "INVALID_URL"), spelling
        entry = await daemon.get_download(answer["download_id"])
        assert "four decimal numbers from 0 to 255" in entry["detail"], spelling


async def test_an_allowed_ipv4_address_is_not_reached_by_ipv6_around_it(tmp_path: Path, origin: Origin) -> None:
    origin.script("/f", ScriptedResponse(size=3))
    config = DEFAULT_CONFIG.replace('"127.0.0.0/8", "::1/128"', '"127.0.0.1/32"')
    async with DaemonProcess(tmp_path, config=config) as daemon:
        for spelling in ("[::127.0.0.1]", "[64:ff9b::7f00:1]", "[64:ff9b:1::7f00:1]", "[2002:7f00:1::]", "[::1]"):
            await refused(daemon, f"http://{spelling}:{origin.port}/f")
        assert origin.connections == 0
        status, _ = await daemon.fetch("d", f"http://[::ffff:127.0.0.1]:{origin.port}/f")
        assert status == 201
        await origin.wait_requested("/f")


PRIVATE = [
    "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.0.1", "169.254.169.254", "[::ffff:169.254.169.254]",
    "[fe80::1]", "[fc00::1]", "[fd00:ec2::254]", "[fec0::1]", "100.64.0.1", "192.0.0.1", "192.0.2.1", "198.18.0.1",
    "198.51.100.1", "203.0.113.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "[ff02::1]", "[2001:db8::1]",
    "[100::1]", "[2002:a00:1::]",
]  # fmt: skip


async def test_addresses_outside_the_public_internet_are_refused(closed: DaemonProcess) -> None:
    for spelling in PRIVATE:
        entry = await refused(closed, f"http://{spelling}/latest/meta-data/")
        assert entry["start_time"] <= entry["end_time"]
    # Refused with the request, before any byte was sent.

    def attempts() -> list[int]:
        return [line["attempts"] for line in closed.log_lines() if line["event"] == "download_ended"]

    await wait_until(lambda: len(attempts()) == len(PRIVATE))
    assert set(attempts()) == {0}


async def test_a_name_is_checked_by_its_addresses(tmp_path: Path, origin: Origin) -> None:
    hosts = {"inner_test": "127.0.0.1", "cloud_test": "169.254.169.254", "both_test": "127.0.0.1,10.0.0.1"}
    async with daemon_with_hosts(tmp_path, CLOSED, **hosts) as daemon:
        for name in hosts:
            entry = await refused(daemon, f"http://{name.replace('_', '.')}:{origin.port}/f")
            assert "127.0.0.1" not in entry["detail"]
        assert origin.connections == 0
        ended = await wait_until(lambda: [line for line in daemon.log_lines() if line["event"] == "download_ended"])
        # A forbidden address is a permanent failure: no retries.
        assert {line["attempts"] for line in ended} == {1}


async def test_only_allowed_addresses_of_a_name_are_connected_to(tmp_path: Path) -> None:
    config = DEFAULT_CONFIG.replace('"127.0.0.0/8", "::1/128"', '"127.0.0.1/32"')
    async with (
        Origin(port=free_port()) as origin,
        Origin(host="127.0.0.2", port=origin.port) as other,
        daemon_with_hosts(tmp_path, config, mixed_test="127.0.0.2,127.0.0.1") as daemon,
    ):
        origin.script("/f", ScriptedResponse(size=3))
        for _ in range(3):
            status, _ = await daemon.fetch("d", f"http://mixed.test:{origin.port}/f")
            assert status == 201
        await refused(daemon, f"http://127.0.0.2:{origin.port}/f")
        assert other.connections == 0


# -- redirects ---------------------------------------------------------------------------------------------------------


async def test_a_redirect_is_checked_like_a_first_request(tmp_path: Path) -> None:
    config = DEFAULT_CONFIG.replace('"127.0.0.0/8", "::1/128"', '"127.0.0.1/32"')
    async with (
        Origin(port=free_port()) as origin,
        Origin(host="127.0.0.2", port=origin.port) as inner,
        daemon_with_hosts(tmp_path, config, inner_test="127.0.0.2") as daemon,
    ):
        for number, host in enumerate(("127.0.0.2", "127%2e0.0.2", "[::ffff:127.0.0.2]", "inner.test")):
            for hops in (1, 3):
                path = f"/{number}-{hops}"
                for hop in range(1, hops):
                    origin.script(f"{path}-{hop}", redirect(f"{path}-{hop + 1}" if hop + 1 < hops else f"{path}-last"))
                origin.script(f"{path}-last", redirect(f"http://{host}:{origin.port}/secret"))
                await refused(daemon, origin.url(f"{path}-1" if hops > 1 else f"{path}-last"))
        assert inner.connections == 0
        for location in ("file:///etc/passwd", "ftp://127.0.0.1/f", "data:,x", "gopher://127.0.0.1:6379/_x"):
            origin.script("/scheme", redirect(location))
            status, answer = await daemon.fetch("d", origin.url("/scheme"))
            assert (status, answer["error"]) == (400, "INVALID_URL"), location
        assert daemon.files() == {}


async def test_a_redirect_out_of_the_allowed_domains_is_refused(tmp_path: Path, origin: Origin) -> None:
    origin.script("/away", redirect(f"http://evil.test:{origin.port}/f"))
    origin.script("/within", redirect(f"http://b.files.test:{origin.port}/f"))
    origin.script("/f", ScriptedResponse(size=3))
    config = make_config(allowed_domains=["*.files.test"])
    hosts = {"a_files_test": "127.0.0.1", "b_files_test": "127.0.0.1", "evil_test": "127.0.0.1"}
    async with daemon_with_hosts(tmp_path, config, **hosts) as daemon:
        await refused(daemon, f"http://a.files.test:{origin.port}/away")
        assert origin.requests("/f") == []
        assert (await daemon.fetch("d", f"http://a.files.test:{origin.port}/within"))[0] == 201


async def test_redirect_loops_and_endless_redirects_fail(daemon: DaemonProcess, origin: Origin) -> None:
    origin.script("/a", redirect("/b"))
    origin.script("/b", redirect("/a"))
    origin.script("/self", redirect("/self"))
    for hop in range(11):
        origin.script(f"/{hop}", redirect(f"/{hop + 1}"))
    origin.script("/11", ScriptedResponse(size=3))
    for path in ("/a", "/self", "/0"):
        status, answer = await daemon.fetch("d", origin.url(path))
        assert (status, answer["error"]) == (502, "TOO_MANY_REDIRECTS"), path
        assert (await daemon.get_download(answer["download_id"]))["error"] == "TOO_MANY_REDIRECTS"
    # The first request and ten redirects, and no retries.
    assert len(origin.requests("/self")) == 11
    assert origin.requests("/11") == []
    assert (await daemon.fetch("d", origin.url("/1")))[0] == 201


async def test_credentials_do_not_follow_a_redirect_to_another_origin(tmp_path: Path, origin: Origin) -> None:
    config = DEFAULT_CONFIG + (
        '[[credentials]]\nhost = "127.0.0.1"\nheaders = { Authorization = "Bearer hush", X-Api-Key = "hush" }\n'
    )
    userinfo = origin.url("/elsewhere").replace("://", "://user:hush@")
    async with (
        DaemonProcess(tmp_path, config=config) as daemon,
        Origin(host="127.0.0.2") as other,
        # Another port is another origin too.
        Origin() as neighbour,
    ):
        for target in (other, neighbour):
            target.script("/f", ScriptedResponse(size=3))
            target.script("/back", redirect(origin.url("/f")))
            origin.script("/elsewhere", redirect(target.url("/f")))
            for url in (origin.url("/elsewhere"), userinfo):
                assert (await daemon.fetch("d", url))[0] == 201
            assert len(target.requests("/f")) == 2
            for request in target.requests("/f"):
                assert b"hush" not in b"".join(value for _, value in request.fields)
                for name in ("Authorization", "X-Api-Key", "Cookie", "Referer"):
                    assert request.field(name) is None
        for request in origin.requests("/elsewhere"):
            assert request.field("X-Api-Key") == "hush"
            assert request.field("Authorization") is not None
        # Within the origin they do.
        origin.script("/here", redirect("/f"))
        origin.script("/f", ScriptedResponse(size=3))
        assert (await daemon.fetch("d", origin.url("/here")))[0] == 201
        assert origin.requests("/f")[0].field("X-Api-Key") == "hush"


# -- proxies, cookies and domains --------------------------------------------------------------------------------------


async def test_proxies_of_the_environment_are_not_used(tmp_path: Path, origin: Origin) -> None:
    origin.script("/f", ScriptedResponse(size=3))
    async with Origin(fallback=lambda request: ScriptedResponse(body=b"from the proxy")) as proxy:
        address = f"http://127.0.0.1:{proxy.port}"
        names = ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")
        netrc = tmp_path / "netrc"
        netrc.write_text("machine 127.0.0.1 login somebody password hush\n")
        environment = {**dict.fromkeys(names, address), "NO_PROXY": "", "no_proxy": "", "NETRC": str(netrc)}
        async with DaemonProcess(tmp_path, environment=environment) as daemon:
            assert (await daemon.fetch("d", origin.url("/f")))[0] == 201
            await daemon.fetch("d", "http://10.0.0.1/f")
            assert proxy.connections == 0
            assert daemon.files() == {"d/f": expected_bytes(0, 0, 3)}
        [request] = origin.requests("/f")
        assert request.field("Authorization") is None


async def test_cookies_are_not_kept_between_downloads(daemon: DaemonProcess, origin: Origin) -> None:
    origin.script("/f", ScriptedResponse(size=3, headers=(("Set-Cookie", "id=1; Path=/"),)))
    for _ in range(2):
        assert (await daemon.fetch("d", origin.url("/f")))[0] == 201
    assert [request.field("Cookie") for request in origin.requests("/f")] == [None, None]


async def test_allowed_domains_name_hosts_and_with_a_wildcard_their_subdomains(tmp_path: Path, origin: Origin) -> None:
    origin.script("/f", ScriptedResponse(size=3))
    names = {
        "exact.test": True, "EXACT.test": True, "exact.test.": True, "sub.exact.test": False, "notexact.test": False,
        "wild.test": False, "a.wild.test": True, "a.b.WILD.test": True, "awild.test": False, "a.wild.test.evil": False,
        "bücher.test": True, "xn--bcher-kva.test": True, "BÜCHER.test": True, "buecher.test": False, "127.0.0.1": False,
    }  # fmt: skip
    config = make_config(allowed_domains=["exact.test", "*.wild.test", "Bücher.test"])
    hosts = {
        ascii_of(name).replace(".", "_"): "127.0.0.1" for name in names if not name.endswith(".") and name[0] != "1"
    }
    async with daemon_with_hosts(tmp_path, config, **hosts) as daemon:
        for name, allowed in names.items():
            url = f"http://{name}:{origin.port}/f"
            if allowed:
                status, answer = await daemon.fetch("d", url)
                assert (status, answer["error"]) == (201, None), (name, answer)
            else:
                await refused(daemon, url)
    assert len(origin.requests("/f")) == sum(names.values())


def ascii_of(name: str) -> str:
    """Return the name as it is sent to name servers."""
    return name.lower().encode("idna").decode()


async def test_only_http_and_https_are_urls(closed: DaemonProcess, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    with socket.create_server(("127.0.0.1", 0)) as ftp:
        ftp.setblocking(False)
        port = ftp.getsockname()[1]
        for url in (
            f"file://{secret}", f"file://localhost{secret}", f"FILE://{secret}", str(secret),
            f"ftp://127.0.0.1:{port}/f", f"ftps://127.0.0.1:{port}/f", f"gopher://127.0.0.1:{port}/f", "data:,hello",
            f"unix://{secret}", "javascript:alert(1)", "//example.com/f", "example.com/f", "http:/example.com/f",
            "http:example.com", "http://", "http:///f", "https://?x", "http://exa mple.com/", "http://a\\b/",
            "http://a@b@c/", "http://example.com:0/", "http://example.com:65536/", "http://example.com:x/",
            "http://[::1/", "http://256.256.256.256/", "http://1.2.3.4.5/", "http://a..b/", "\nhttp://example.com/",
            "http://exam\tple.com/", "http://example.com/\r\nX: y",
        ):  # fmt: skip
            status, answer = await closed.request("GET", "/d", params={"download": url})
            assert (status, answer["error"]) == (400, "INVALID_URL"), url
            assert len(answer["detail"].split()) > 3
            entry = await closed.get_download(answer["download_id"])
            assert (entry["status"], entry["error"]) == ("failed", "INVALID_URL")
        with pytest.raises(BlockingIOError):
            ftp.accept()
    assert closed.files() == {}
