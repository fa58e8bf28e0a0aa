"""URLs of proxies."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from downloadd.policy.proxy_url import ProxyUrl, parse_proxy_url
from downloadd.request_fields import Credentials

SECRET = "hush4711"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http://proxy.example.com:3128", ProxyUrl(scheme="http", host="proxy.example.com", port=3128)),
        ("HTTP://Proxy.Example.COM./", ProxyUrl(scheme="http", host="proxy.example.com", port=80)),
        ("https://proxy", ProxyUrl(scheme="https", host="proxy", port=443)),
        ("socks5://127.0.0.1", ProxyUrl(scheme="socks5", host="127.0.0.1", port=1080)),
        ("socks5h://[::1]:9050", ProxyUrl(scheme="socks5h", host="::1", port=9050)),
        (
            "http://a%40b:c%3A@proxy:1",
            ProxyUrl(scheme="http", host="proxy", port=1, user=Credentials(user="a@b", password="c:")),
        ),
        ("http://u@proxy:1", ProxyUrl(scheme="http", host="proxy", port=1, user=Credentials(user="u"))),
    ],
)
def test_a_url_is_parsed(text: str, expected: ProxyUrl) -> None:
    parsed = parse_proxy_url(text)
    assert parsed == expected
    assert parse_proxy_url(parsed.text) == ProxyUrl(scheme=expected.scheme, host=expected.host, port=expected.port)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "must begin with"),
        ("proxy:3128", "must begin with"),
        (f"ftp://u:{SECRET}@proxy", "must begin with"),
        (f"socks4://{SECRET}", "must begin with"),
        (f"http://proxy/{SECRET}", "scheme, host and port alone"),
        (f"http://proxy?{SECRET}", "scheme, host and port alone"),
        (f"http://proxy#{SECRET}", "scheme, host and port alone"),
        (f"http://proxy:0#{SECRET}", "scheme, host and port alone"),
        (f"http://u:{SECRET}@proxy:99999", "is not the URL of a proxy"),
        (f"http://u:{SECRET}@[bad", "is not the URL of a proxy"),
        (f"http://u:{SECRET}@", "has no host"),
        (f"http://u:{SECRET}@1.2.3", "IPv4 address"),
        (f"http://proxy {SECRET}", "holds a space"),
        (f"http://proxy\n{SECRET}", "holds a space"),
        ("http://pröxy", "not ASCII"),
        (f"http://a%3Ab:{SECRET}@proxy", "user may not hold a colon"),
        (f"http://a:{SECRET}%0A@proxy", "password may not hold control characters"),
        (f"socks5://a:{SECRET * 40}@proxy", "password is longer than 255 bytes"),
    ],
)
def test_a_malformed_url_is_refused_without_its_secrets(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem) as caught:
        parse_proxy_url(text)
    assert SECRET not in str(caught.value)


def test_no_password_is_printed() -> None:
    assert SECRET not in repr(parse_proxy_url(f"http://u:{SECRET}@proxy:1"))


@given(st.text(max_size=60))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    for prefix in ("", "http://", "socks5://"):
        try:
            parsed = parse_proxy_url(prefix + text)
        except ValueError:
            continue
        assert parsed.host
        assert 0 < parsed.port < 65536
