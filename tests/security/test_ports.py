"""Ports of an origin that are allowed: many services below 1024 execute lines that look like their protocol."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.daemon_process import DaemonProcess, make_config
from support.origin.origin import Origin
from support.origin.scripted_response import ScriptedResponse, redirect

from downloadd.config import DownloadsConfig
from downloadd.errors import DomainBlockedError, InvalidUrlError
from downloadd.policy.policy import Policy
from downloadd.policy.ports import PortRules

SERVICES = {
    7: "echo", 19: "chargen", 21: "FTP", 22: "SSH", 23: "Telnet", 25: "SMTP", 53: "DNS", 79: "finger", 110: "POP3",
    111: "portmapper", 119: "NNTP", 135: "RPC", 139: "NetBIOS", 143: "IMAP", 389: "LDAP", 445: "SMB", 465: "SMTPS",
    513: "rlogin", 514: "rsh", 515: "printer", 587: "submission", 631: "IPP", 636: "LDAPS", 873: "rsync", 990: "FTPS",
    993: "IMAPS", 995: "POP3S", 1: "the first", 79 + 2: "beside HTTP", 442: "beside HTTPS", 444: "beside HTTPS",
    1023: "the last",
}  # fmt: skip
"""Ports of system services, and the services."""


@pytest.mark.parametrize("port", SERVICES, ids=str)
def test_ports_of_system_services_are_refused(port: int) -> None:
    for url in (
        f"http://example.com:{port}/", f"https://example.com:{port}/", f"http://example.com:0{port}/",
        f"http://u:p@example.com:{port}/", f"http://example.com.:{port}/", f"http://[2606:4700::1111]:{port}",
        f"http://8.8.8.8:{port}?x", f"http://80@example.com:{port}", f"http://:80@example.com:{port}/:80",
    ):  # fmt: skip
        with pytest.raises(DomainBlockedError, match=rf"port {port} .*downloads\.allowed_ports"):
            Policy().check_url(url)


@pytest.mark.parametrize("port", [80, 443, 1024, 3128, 6379, 8080, 11211, 65535])
def test_other_ports_are_allowed(port: int) -> None:
    for scheme in ("http", "https"):
        assert Policy().check_url(f"{scheme}://example.com:{port}/").port == port
    assert Policy().check_url("http://example.com:/").port == 80
    assert Policy().check_url("https://example.com/").port == 443


@pytest.mark.parametrize(
    "port", ["0", "65536", "65558", "-22", "+80", "80,22", "\uff12\uff12", "0x16", "2 2", "22e0", "%32%32"]
)
def test_an_invalid_port_makes_the_url_invalid(port: str) -> None:
    with pytest.raises(InvalidUrlError):
        Policy().check_url(f"http://example.com:{port}/")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0",
        "65536",
        "99999",
        "-1",
        "80-",
        "-80",
        "90-80",
        "0-80",
        "80:90",
        "http",
        "80,443",
        "8_0",
        "\u0668\u0660",
        0,
        -5,
    ],
)
def test_an_invalid_port_makes_the_rule_invalid(text: int | str) -> None:
    with pytest.raises(ValueError, match="is not a port"):
        PortRules([443, text])


@given(st.lists(st.tuples(st.integers(1, 65535), st.integers(1, 65535)), max_size=5), st.integers(1, 65535))
def test_the_rules_agree_with_a_simple_model(pairs: list[tuple[int, int]], port: int) -> None:
    ranges = [(min(pair), max(pair)) for pair in pairs]
    rules = PortRules([f"{first}-{last}" for first, last in ranges])
    assert rules.allows_port(port) is any(port in range(first, last + 1) for first, last in ranges)


def test_an_empty_list_allows_none() -> None:
    with pytest.raises(DomainBlockedError):
        Policy.from_config(DownloadsConfig(allowed_ports=())).check_url("http://example.com/")


async def test_the_daemon_requests_no_other_port_by_url_mirror_redirect_or_amendment(tmp_path: Path) -> None:
    async with Origin() as origin, Origin() as other:
        for server in (origin, other):
            server.script("/f", ScriptedResponse(size=3))
        origin.script("/away", redirect(other.url("/f")))
        origin.script("/twice", redirect("/away"))
        async with DaemonProcess(tmp_path, config=make_config(allowed_ports=[origin.port])) as daemon:
            for urls in (
                other.url("/f"), origin.url("/away"), origin.url("/twice"), [origin.url("/f"), other.url("/f")],
                f"http://127.0.0.1:{origin.port}@127.0.0.1:{other.port}/f", "http://127.0.0.1/f",
            ):  # fmt: skip
                status, answer = await daemon.fetch("d", urls)
                assert (status, answer["error"]) == (403, "DOMAIN_BLOCKED"), urls
                entry = await daemon.get_download(answer["download_id"])
                assert "downloads.allowed_ports" in entry["detail"]
                assert str(other.port) in entry["detail"] or "port 80 " in entry["detail"]
            assert other.connections == 0
            assert daemon.files() == {}
            started = await daemon.start_download("d", origin.url("/f"), wait="30")
            status, body = await daemon.amend(started["download_id"], url=other.url("/f"))
            assert status in {403, 409}, body
            assert other.connections == 0
            # A reload applies to later requests.
            await daemon.reload(make_config(allowed_ports=["1024-65535"]))
            assert (await daemon.fetch("d", other.url("/f")))[0] == 201
