"""Domain rules: each accepted URL leads to a host that is listed, letter by letter.

The judgement of single patterns and hosts is tested in `policy/test_domains.py`, the daemon with names of its own name
servers in `end_to_end/test_policy.py`.
"""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.daemon_process import DaemonProcess, make_config
from support.origin.origin import Origin

from downloadd.config import DownloadsConfig
from downloadd.errors import DomainBlockedError, InvalidUrlError
from downloadd.origin.request_head import encode_request_head
from downloadd.policy.policy import Policy

POLICY = Policy.from_config(DownloadsConfig(allowed_domains=("example.com", "*.files.test")))

LOOKALIKES = [
    # suffixes and prefixes
    "evilexample.com", "example.com.evil.test", "example.community", "example.comm", "example.co", "xample.com",
    "-example.com", "_example.com", "evil-example.com", "sub.example.com", "www.example.com", "example.com.com",
    "com", "example", ".com", "example.com-evil.test", "example.com_evil.test", "files.test", "evilfiles.test",
    "a.evilfiles.test", "a.files.test.evil", "files.test.evil", "a.files.tes", "a.files.testt", "afiles.test",
    # dots
    "example..com", ".example.com", "example.com..", "a..files.test", ".files.test", "..files.test",
    "example\u3002com\u3002evil.test", "example.com\uff0eevil.test", "example.com%2eevil.test",
    "example\u2024com.evil.test", "example\u00b7com", "example\u30fbcom", "example\u2027com", "example\u06d4com",
    # userinfo, ports, paths, fragments and queries that only look like the host
    "example.com@evil.test", "example.com:443@evil.test", "example.com%40evil.test", "example.com%2f@evil.test",
    "example.com%00.evil.test", "evil.test%00example.com", "evil.test%0aexample.com", "evil.test%20example.com",
    "evil.test/example.com", "evil.test?example.com", "evil.test#example.com", "evil.test#@example.com",
    "evil.test?@example.com", "evil.test/@example.com", "evil.test\\@example.com", "evil.test\\.example.com",
    "example.com\\.evil.test", "evil.test;example.com", "evil.test,example.com", "evil.test&example.com",
    "evil.test%23@", "evil.test:80#@example.com", "evil.test:example.com", "[example.com]", "evil.test%5c@x.files.test",
    "a@evil.test@example.com", "evil.test%252f.files.test", "evil.test%2f.files.test", "evil.test%3f.files.test",
    "evil.test%23.files.test", "evil.test%3a80.files.test", "evil.test%40.files.test",
    # letters of similar shape that do not map to the listed ones
    "ex\u0430mple.com", "\u0435xample.com", "exam\u0440le.com", "example.\u0441om", "ex\u03b1mple.com",
    "exampl\u0454.com", "examp\u04cfe.com", "examp\u0131e.com", "ex\u00e1mple.com", "ex\u0251mple.com",
    "example.c\u03bfm", "examp1e.com", "exarnple.com", "ex\u1d00mple.com", "a.f\u0456les.test", "a.file\u0455.test",
    "ex\u0430mple.com.", "xn--exmple-4nf.com", "XN--EXMPLE-4NF.com", "xn--example-.com", "xn--example.com",
    "xn--.com", "xn--a.files.test.evil", "example.xn--om-nmc", "exampl\u0435\u0301.com", "exa\u0301mple.com",
    # letters that some parsers remove
    "ex\u200dample.com", "ex\u200cample.com", "\u202eexample.com", "example.com\u202e", "ex\u2060ample.com",
    # addresses are not in the list
    "1.1.1.1", "0x01010101", "[2606:4700::1111]", "16843009",
]  # fmt: skip

EQUIVALENTS = [
    "example.com", "EXAMPLE.COM", "Example.Com.", "ex%61mple.com", "%45xample.com", "example%2ecom", "example\u3002com",
    "example\uff0ecom", "example\uff61com", "\uff45\uff58ample.com", "\u24d4xample.com",
    "\U0001d41e\U0001d431ample.com",
    "ex\u00adample.com", "exam\u00adple.com", "evil.test@example.com", ":@example.com", "evil.test%40@example.com",
    "example.com:443", "example.com:", "u:p@example.com", "ex\u1d43mple.com", "\u2147xample.com", "ex\u00aample.com",
]  # fmt: skip
"""Spellings that UTS 46 maps to the listed name, so that this name is requested."""


def connected(authority: str) -> str | None:
    """Return the host that a request would be sent to; None if it is refused."""
    try:
        url = POLICY.check_url(f"http://{authority}/f")
    except (DomainBlockedError, InvalidUrlError):
        return None
    head = encode_request_head(url, [], method="GET", via_proxy=False).decode()
    assert re.search(rf"\r\nHost: {re.escape(url.host)}(:\d+)?\r\n", head)
    return url.host


@pytest.mark.parametrize("authority", LOOKALIKES)
def test_a_lookalike_is_refused_or_leads_to_the_listed_host(authority: str) -> None:
    host = connected(authority)
    assert host is None or host == "example.com" or host.endswith(".files.test")
    if "evil" in (host or ""):
        raise AssertionError(host)


@pytest.mark.parametrize("authority", EQUIVALENTS)
def test_another_spelling_of_a_listed_host_leads_to_that_host(authority: str) -> None:
    assert connected(authority) == "example.com"


@pytest.mark.parametrize(
    "authority", ["a.files.test", "A.B.FILES.TEST.", "a\u3002files\u3002test", "xn--bcher-kva.files.test"]
)
def test_subdomains_lead_to_themselves(authority: str) -> None:
    assert (connected(authority) or "").endswith(".files.test")


near_hosts = st.lists(
    st.one_of(
        st.sampled_from(
            [
                "example",
                "com",
                ".",
                "files",
                "test",
                "evil",
                "@",
                "%2e",
                "%40",
                "\u3002",
                "xn--",
                "-",
                ":",
                "\\",
                "/",
                "#",
            ]
        ),
        st.text("ab\u0430\u0435\u200d\u00ad\uff41\u24d0%", max_size=3),
    ),
    max_size=8,
).map("".join)


@given(near_hosts)
def test_each_accepted_url_leads_to_a_listed_host(authority: str) -> None:
    host = connected(authority)
    assert host is None or host == "example.com" or host.endswith(".files.test")


async def test_the_daemon_requests_only_listed_hosts(tmp_path: Path) -> None:
    config = make_config(allowed_domains=["example.com", "*.files.test"])
    lookalikes = [fool for fool in LOOKALIKES if connected(fool) is None and fool.isprintable()]
    assert len(lookalikes) > 90
    async with Origin() as origin, DaemonProcess(tmp_path, config=config) as daemon:
        lookalikes += [f"127.0.0.1:{origin.port}", f"localhost:{origin.port}", f"example.com@127.0.0.1:{origin.port}"]
        items = [{"url": f"http://{fool}/f", "directory": "d"} for fool in lookalikes]
        status, body = await daemon.request("POST", "/api/v1/downloads", json={"downloads": items})
        assert status in {400, 403}
        for fool, result in zip(lookalikes, body["downloads"], strict=True):
            assert result["error"] in {"DOMAIN_BLOCKED", "INVALID_URL"}, fool
        assert origin.connections == 0
