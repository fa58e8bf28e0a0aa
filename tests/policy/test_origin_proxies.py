"""Selection of the proxy of a request."""

import pytest
from support.allowed_urls import allowed_url

from downloadd.config import Config, DownloadsConfig, ProxyConfig
from downloadd.errors import NetworkError, StartupError
from downloadd.policy.origin_proxies import OriginProxies, Proxy, ProxyHosts
from downloadd.request_fields import Credentials

SECRET = "hush4711"
PROXIES = (
    ProxyConfig(name="office", url="http://proxy.example:3128", hosts=("a.example", "*.b.example", "10.1.2.3")),
    ProxyConfig(name="abroad", url="socks5://127.0.0.1", user="u", password=SECRET, hosts=()),
    ProxyConfig(name="rest", url="http://v:w@rest.example", hosts=("b.example", "*.c.example")),
)


def select(url: str, name: str | None = None, proxies: OriginProxies | None = None) -> Proxy | None:
    return (proxies or OriginProxies(PROXIES)).select_proxy(allowed_url(url), name)


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("http://a.example/", "office"),
        ("https://A.example.:8443/", "office"),
        ("http://x.a.example/", None),
        ("http://x.y.b.example/", "office"),
        ("http://b.example/", "rest"),
        ("http://c.example/", None),
        ("http://10.1.2.3/", "office"),
        ("http://10.1.2.4/", None),
    ],
)
def test_the_first_proxy_for_a_host_is_selected(url: str, name: str | None) -> None:
    selected = select(url)
    assert (None if selected is None else selected.name) == name


def test_a_download_may_name_a_proxy_for_all_hosts() -> None:
    for url in ("http://a.example/", "http://elsewhere.example/"):
        selected = select(url, "abroad")
        assert selected is not None
        assert (selected.name, selected.url.text) == ("abroad", "socks5://127.0.0.1:1080")
        assert selected.url.user == Credentials(user="u", password=SECRET)
    with pytest.raises(NetworkError, match="not configured any more"):
        select("http://a.example/", "gone")
    assert OriginProxies(PROXIES).names == {"office", "abroad", "rest"}


def test_a_proxy_without_hosts_is_for_all() -> None:
    proxies = OriginProxies((ProxyConfig(name="all", url="http://p:1"),))
    selected = select("http://anything.example/", proxies=proxies)
    assert selected is not None
    assert selected.name == "all"


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("http://a.example/", "plain"),
        ("https://a.example/", "rest"),
        ("http://a.intern.example/", "rest"),
        ("http://intern.example/", "plain"),
        ("http://10.9.8.7/", None),
        ("http://[2001:db8::1]/", None),
        ("http://192.0.2.1/", "plain"),
    ],
)
def test_a_proxy_is_for_its_schemes_and_not_for_excluded_hosts(url: str, name: str | None) -> None:
    excluded = ("10.0.0.0/8", "2001:db8::/32")
    proxies = OriginProxies(
        (
            ProxyConfig(
                name="plain", url="http://p:1", schemes=("http",), excluded_hosts=("*.intern.example", *excluded)
            ),
            ProxyConfig(name="rest", url="http://p:2", excluded_hosts=excluded),
        )
    )
    selected = select(url, proxies=proxies)
    assert (None if selected is None else selected.name) == name
    # A download that names the proxy uses it for every host.
    assert select(url, "plain", proxies) is not None


def test_credentials_are_those_of_the_table_or_of_the_url() -> None:
    selected = select("http://b.example/")
    assert selected is not None
    assert selected.url.user == Credentials(user="v", password="w")
    assert SECRET not in repr(select("http://a.example/", "abroad"))


@pytest.mark.parametrize(
    ("url", "at_proxy", "expected"),
    [
        ("http://p", False, False),
        ("socks5://p", False, False),
        ("socks5h://p", False, True),
        ("socks5://p", True, True),
        ("http://p", True, True),
    ],
)
def test_names_are_resolved_by_the_proxy_on_request_only(url: str, at_proxy: bool, expected: bool) -> None:
    proxies = OriginProxies((ProxyConfig(name="p", url=url),), resolves_at_proxy=at_proxy)
    selected = select("http://a.example/", proxies=proxies)
    assert selected is not None
    assert selected.is_resolver is expected


def test_the_environment_is_used_after_the_configuration_if_it_is_allowed() -> None:
    environment = {"all_proxy": "http://env:1", "no_proxy": "direct.example"}
    for is_used, expected in ((False, None), (True, "http://env:1")):
        config = Config(proxies=PROXIES, downloads=DownloadsConfig(proxy_from_environment=is_used))
        proxies = OriginProxies.from_config(config, environment)
        selected = select("http://elsewhere.example/", proxies=proxies)
        assert (None if selected is None else selected.url.text) == expected
        assert (select("http://a.example/", proxies=proxies) or selected) != selected
        assert select("http://direct.example/", proxies=proxies) is None
    with pytest.raises(StartupError, match="proxy_from_environment: http_proxy: "):
        OriginProxies.from_config(
            Config(downloads=DownloadsConfig(proxy_from_environment=True)), {"http_proxy": "ftp://x"}
        )


def test_the_setting_for_names_applies_to_all_proxies() -> None:
    config = Config(proxies=PROXIES, downloads=DownloadsConfig(proxy_dns="proxy"))
    selected = select("http://a.example/", proxies=OriginProxies.from_config(config, {}))
    assert selected is not None
    assert selected.is_resolver


@pytest.mark.parametrize("patterns", [["https://a/"], ["a:1"], ["*", "*.*"]])
def test_a_malformed_host_is_refused(patterns: list[str]) -> None:
    with pytest.raises(ValueError, match="is not a domain"):
        ProxyHosts(patterns)


@pytest.mark.parametrize("network", ["10.0.0.1/8", "10.0.0.0/33", "::1/x"])
def test_a_malformed_network_is_refused(network: str) -> None:
    with pytest.raises(ValueError, match="is not a network such as"):
        ProxyHosts([network])


def test_a_network_includes_addresses_only() -> None:
    hosts = ProxyHosts(["10.0.0.0/8"])
    assert hosts.includes("10.1.2.3")
    assert not hosts.includes("11.1.2.3")
    assert not hosts.includes("a.example")


def test_no_pattern_includes_no_host() -> None:
    assert not ProxyHosts([]).includes("a.example")
    assert ProxyHosts(["a.example", "*"]).includes("b.example")
