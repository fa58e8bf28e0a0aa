"""Proxies of the environment."""

import pytest
from support.allowed_urls import allowed_url

from downloadd.policy.environment_proxies import EnvironmentProxies

SECRET = "hush4711"


def proxy_of(url: str, **environment: str) -> str | None:
    selected = EnvironmentProxies(environment).select(allowed_url(url))
    return None if selected is None else selected.text


def test_variables_are_for_their_scheme_and_all_proxy_for_the_rest() -> None:
    assert proxy_of("http://a.example/") is None
    only = {"http_proxy": "http://p:1", "https_proxy": "socks5://q"}
    assert (proxy_of("http://a.example/", **only), proxy_of("https://a.example/", **only)) == (
        "http://p:1",
        "socks5://q:1080",
    )
    both = {"https_proxy": "http://p:1", "all_proxy": "q:2"}
    assert (proxy_of("http://a.example/", **both), proxy_of("https://a.example/", **both)) == (
        "http://q:2",
        "http://p:1",
    )


def test_names_in_upper_case_count_but_for_http_proxy() -> None:
    assert proxy_of("https://a.example/", HTTPS_PROXY="p:1", ALL_PROXY="q:1") == "http://p:1"
    assert proxy_of("https://a.example/", https_proxy="p:1", HTTPS_PROXY="q:1") == "http://p:1"
    assert proxy_of("http://a.example/", HTTP_PROXY="p:1") is None
    assert proxy_of("http://a.example/", HTTP_PROXY="p:1", ALL_PROXY="q:1") == "http://q:1"
    assert proxy_of("http://a.example/", http_proxy="", all_proxy="q:1") == "http://q:1"


def test_credentials_are_kept() -> None:
    selected = EnvironmentProxies({"all_proxy": f"http://u:{SECRET}@p:1"}).select(allowed_url("http://a.example/"))
    assert selected is not None
    assert selected.user is not None
    assert (selected.user.user, selected.user.password, selected.text) == ("u", SECRET, "http://p:1")


@pytest.mark.parametrize(
    ("no_proxy", "url", "is_direct"),
    [
        ("*", "http://a.example/", True),
        ("a.example", "http://a.example/", True),
        ("a.example", "http://b.a.example/", True),
        ("a.example", "http://ba.example/", False),
        (".a.example", "http://b.a.example/", True),
        ("*.a.example", "http://b.a.example/", True),
        ("x, A.EXAMPLE", "http://a.example/", True),
        ("x a.example", "http://a.example/", True),
        ("a.example:80", "http://a.example/", True),
        ("a.example:81", "http://a.example/", False),
        ("10.0.0.0/8", "http://10.1.2.3/", True),
        ("10.1.2.3", "http://10.1.2.3/", True),
        ("10.1.2.4", "http://10.1.2.3/", False),
        ("::1", "http://[::1]/", True),
        ("[::1]", "http://[::1]/", True),
        ("10.0.0.0/8", "http://a.example/", False),
        ("example", "http://10.1.2.3/", False),
        ("a b/c://", "http://c.example/", False),
        ("", "http://a.example/", False),
    ],
)
def test_exceptions_are_domains_addresses_and_networks(no_proxy: str, url: str, is_direct: bool) -> None:
    for name in ("no_proxy", "NO_PROXY"):
        assert (proxy_of(url, all_proxy="p:1", **{name: no_proxy}) is None) == is_direct


def test_a_malformed_variable_is_named_without_its_value() -> None:
    with pytest.raises(ValueError, match=r"^HTTPS_PROXY: must begin with") as caught:
        EnvironmentProxies({"HTTPS_PROXY": f"ftp://u:{SECRET}@p"})
    assert SECRET not in str(caught.value)
