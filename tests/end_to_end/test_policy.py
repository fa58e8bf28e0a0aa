"""What may be fetched: judged for every spelling, on the first request and on every redirect."""

from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote

import pytest
from daemon_process import DEFAULT_CONFIG, DaemonProcess, configured
from origin.answer import Answer, redirect
from origin.origin import Origin

PUBLIC_ONLY = DEFAULT_CONFIG.replace('allowed_networks = ["127.0.0.0/8", "::1/128"]\n', "")

INNER = [
    "127.0.0.1",
    "127.1",
    "2130706433",
    "0x7f000001",
    "0177.0.0.1",
    "127.0.0.1.",
    "localhost",
    "LOCALHOST.",
    "[::1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[64:ff9b::7f00:1]",
    "[2002:7f00:1::]",
    "0.0.0.0",
    "[::]",
    "10.0.0.1",
    "192.168.1.1",
    "172.16.0.1",
    "169.254.169.254",
    "100.64.0.1",
    "[fe80::1]",
    "[fd00::1]",
    "\uff11\uff12\uff17.\uff10.\uff10.\uff11",
    "127\u30020\u30020\u30021",
]


@pytest.fixture
async def careful(tmp_path: Path) -> AsyncIterator[DaemonProcess]:
    """A daemon with the default policy: the public internet only."""
    assert PUBLIC_ONLY != DEFAULT_CONFIG
    async with DaemonProcess(tmp_path, config=PUBLIC_ONLY) as daemon:
        yield daemon


async def test_no_spelling_of_an_inner_address_is_connected_to(careful: DaemonProcess, origin: Origin) -> None:
    origin.script("/secret", Answer(size=10))
    for host in INNER:
        url = f"http://{host}:{origin.port}/secret"
        status, answer = await careful.ask("GET", f"/d?wait=30&download={quote(url, safe='')}")
        assert (status, answer["error"]) == (403, "DOMAIN_BLOCKED"), (host, answer)
        assert answer["detail"]
        entry = await careful.one(answer["download_id"])
        assert (entry["status"], entry["error"]) == ("failed", "DOMAIN_BLOCKED")
    assert len(await careful.history()) == len(INNER)
    assert origin.connections == 0
    assert careful.files() == {}


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://a.example/b", "gopher://a.example/", "//a.example/b", "a"]
)
async def test_only_http_and_https_are_fetched(daemon: DaemonProcess, url: str) -> None:
    status, answer = await daemon.ask("GET", f"/d?download={quote(url, safe='')}")
    assert (status, answer["error"], answer["success"]) == (400, "INVALID_URL", False)
    assert (await daemon.one(answer["download_id"]))["error"] == "INVALID_URL"


async def test_a_redirect_is_judged_like_a_first_request(tmp_path: Path) -> None:
    config = DEFAULT_CONFIG.replace("127.0.0.0/8", "127.0.0.1/32")
    assert config != DEFAULT_CONFIG
    folder = tmp_path / "daemon"
    folder.mkdir()
    async with (
        Origin() as origin,
        Origin(host="127.0.0.2") as forbidden,
        DaemonProcess(folder, config=config) as daemon,
    ):
        forbidden.script("/secret", Answer(size=10))
        origin.script("/away", redirect(forbidden.url("/secret")))
        origin.script("/file", redirect("file:///etc/passwd"))
        status, answer = await daemon.fetch("d", origin.url("/away"))
        assert (status, answer["error"]) == (403, "DOMAIN_BLOCKED")
        status, answer = await daemon.fetch("d", origin.url("/file"))
        assert answer["success"] is False
        assert forbidden.connections == 0
        assert daemon.files() == {}


async def test_redirects_in_a_circle_end(daemon: DaemonProcess, origin: Origin) -> None:
    origin.script("/round", redirect("/round"))
    status, answer = await daemon.fetch("d", origin.url("/round"))
    assert (status, answer["error"]) == (502, "TOO_MANY_REDIRECTS")
    assert len(origin.requests("/round")) == 11


async def test_credentials_stay_with_their_origin(tmp_path: Path) -> None:
    async with Origin() as origin, Origin(host="127.0.0.2") as other:
        config = DEFAULT_CONFIG + '\n[[credentials]]\nhost = "127.0.0.1"\nheaders = { X-Key = "s3cret" }\n'
        other.script("/there", Answer(size=10))
        origin.script("/away", redirect(other.url("/there")))
        origin.script("/here", redirect("/stays"))
        origin.script("/stays", Answer(size=10))
        async with DaemonProcess(tmp_path, config=config) as daemon:
            for path in ("/away", "/here"):
                url = origin.url(path)
                assert (await daemon.fetch("d", url))[0] == 201
                # Credentials of the URL itself go the same way.
                assert (await daemon.fetch("d", url.replace("//", "//someone:pass@")))[0] == 201
            first, second = origin.requests("/away")
            assert (first.field("X-Key"), first.field("Authorization")) == ("s3cret", None)
            assert second.field("Authorization") is not None
            for request in other.requests("/there"):
                assert (request.field("X-Key"), request.field("Authorization")) == (None, None)
            kept = origin.requests("/stays")
            assert [request.field("X-Key") for request in kept] == ["s3cret", "s3cret"]
            assert kept[1].field("Authorization") is not None


async def test_proxies_of_the_environment_are_not_used(tmp_path: Path, origin: Origin) -> None:
    origin.script("/a", Answer(size=10))
    async with Origin() as proxy:
        names = ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")
        environment = dict.fromkeys(names, f"http://127.0.0.1:{proxy.port}")
        async with DaemonProcess(tmp_path, environment=environment) as daemon:
            assert (await daemon.fetch("d", origin.url("/a")))[0] == 201
        assert proxy.connections == 0


async def test_cookies_are_not_carried_from_one_download_to_another(daemon: DaemonProcess, origin: Origin) -> None:
    origin.script("/a", Answer(size=10, headers=(("Set-Cookie", "id=1; Path=/"),)))
    for _ in range(2):
        assert (await daemon.fetch("d", origin.url("/a")))[0] == 201
    assert [request.field("Cookie") for request in origin.requests("/a")] == [None, None]


@pytest.mark.parametrize(
    ("domains", "host", "allowed"),
    [
        pytest.param(["localhost"], "localhost", True, id="named"),
        pytest.param(["LocalHost."], "LOCALHOST", True, id="case-and-dot"),
        pytest.param(["example.com"], "localhost", False, id="another"),
        pytest.param(["*.localhost"], "localhost", False, id="subdomains-only"),
        pytest.param(["host"], "localhost", False, id="suffix-is-no-domain"),
    ],
)
async def test_only_allowed_domains_are_fetched(
    tmp_path: Path, origin: Origin, domains: list[str], host: str, allowed: bool
) -> None:
    origin.script("/a", Answer(size=10))
    async with DaemonProcess(tmp_path, config=configured(allowed_domains=domains)) as daemon:
        status, answer = await daemon.fetch("d", f"http://{host}:{origin.port}/a")
        assert (status, answer["error"]) == ((201, None) if allowed else (403, "DOMAIN_BLOCKED"))
        assert origin.connections == (1 if allowed else 0)
