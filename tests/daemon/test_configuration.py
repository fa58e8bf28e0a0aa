import os
from typing import Any

import pytest

from downloadd.config import Format
from downloadd.daemon.configuration import PARSERS


@pytest.mark.parametrize(
    ("format", "text", "parsed"),
    [
        (Format.CA_FILE, "", ""),
        (Format.DIRECTORY, "/a//b/", "a/b"),
        (Format.DIRECTORY, "team/*/[ab]?", "team/*/[ab]?"),
        (Format.DOMAIN, "*.example.com", "*.example.com"),
        (Format.HOST, "EXAMPLE.com.", "example.com"),
        (Format.NETRC, "", ""),
        (Format.NETWORK, "10.0.0.0/8", "10.0.0.0/8"),
        (Format.OWNER, f"{os.geteuid()}:{os.getegid()}", f"{os.geteuid()}:{os.getegid()}"),
        (Format.PORTS, 80, 80),
        (Format.PORTS, "1-2", "1-2"),
        (Format.PROXY, "unix", "unix"),
        (Format.PROXY_HOSTS, "*", "*"),
        (Format.PROXY_HOSTS, "*.example.com", "*.example.com"),
        (Format.PROXY_URL, "socks5://127.0.0.1", "socks5://127.0.0.1"),
    ],
)
def test_a_text_gets_its_canonical_spelling(format: Format, text: Any, parsed: Any) -> None:
    assert PARSERS[format](text) == parsed


@pytest.mark.parametrize(
    ("format", "text"),
    [
        (Format.CA_FILE, "/nonexistent/ca.pem"),
        (Format.DIRECTORY, "a/../b"),
        (Format.DOMAIN, "*"),
        (Format.HOST, "https://a/"),
        (Format.NETRC, "/nonexistent/netrc"),
        (Format.NETWORK, "10.0.0.1/8"),
        (Format.OWNER, "no-such-user"),
        (Format.PORTS, 0),
        (Format.PROXY, "0.0.0.0/0"),
        (Format.PROXY_HOSTS, "https://a/"),
        (Format.PROXY_URL, "ftp://proxy"),
    ],
)
def test_a_malformed_text_is_a_value_error_with_a_reason(format: Format, text: Any) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - each has its own reason
        PARSERS[format](text)
    assert len(str(caught.value)) > 10
