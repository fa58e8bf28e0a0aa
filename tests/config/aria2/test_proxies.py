"""Proxies of an `aria2.conf`; what aria2 1.36 does with `no-proxy` was tried with a proxy that records requests."""

from typing import Any

import pytest

from downloadd.config.aria2.proxies import proxy_rule
from downloadd.config.aria2.rule import Conf, Derived, OptionError, Unused
from downloadd.config.aria2.syntax import parse_options
from downloadd.config.list_settings import PROXY_SCHEMES

RULES = [proxy_rule("all", PROXY_SCHEMES, ""), *(proxy_rule(scheme, (scheme,), "") for scheme in PROXY_SCHEMES)]


def derive(text: str) -> list[Any]:
    conf = Conf({option.name: option for option in parse_options(text)}, "")
    derived = [rule.derive(conf) for rule in RULES if any(conf.line(name) for name in rule.options)]
    return [each.value if isinstance(each, Derived) else each.reason for each in derived if each is not None]


def table(**changed: Any) -> dict[str, Any]:
    return {"name": "aria2", "url": "http://p:1", "excluded_hosts": [], "schemes": ["http", "https"], **changed}


def test_a_proxy_may_have_no_scheme() -> None:
    assert derive("all-proxy=p:1") == derive("all-proxy=http://p:1") == [table()]


def test_a_scheme_may_have_a_proxy_of_its_own() -> None:
    assert derive("all-proxy=p:1\nhttp-proxy=p:2\nhttps-proxy=") == [
        "http-proxy and https-proxy replace it",
        table(name="aria2-http", url="http://p:2", schemes=["http"]),
        "it is empty, so that connections are direct",
    ]
    assert derive("all-proxy=p:1\nhttps-proxy=p:2") == [
        table(schemes=["http"]),
        table(name="aria2-https", url="http://p:2", schemes=["https"]),
    ]


@pytest.mark.parametrize(
    ("text", "changed"),
    [
        ("all-proxy=p:1\nall-proxy-user=u\nall-proxy-passwd=w", {"user": "u", "password": "w"}),
        ("all-proxy-user=u\nall-proxy=p:1", {"user": "u", "password": ""}),
        ("all-proxy=http://v:x@p:1\nall-proxy-user=u", {"user": "u", "password": ""}),
        ("all-proxy-user=u\nall-proxy=http://v:x@p:1", {"url": "http://v:x@p:1"}),
    ],
)
def test_the_later_user_has_precedence(text: str, changed: dict[str, Any]) -> None:
    assert derive(text) == [table(**changed)]


def test_hosts_are_excluded() -> None:
    [derived] = derive("all-proxy=p:1\nno-proxy=a.example, .b.example,10.0.0.1/8,::1,*.c.example,*,")
    assert derived["excluded_hosts"] == ["a.example", "*.b.example", "10.0.0.0/8", "::1"]


def test_options_without_a_proxy_have_no_effect() -> None:
    assert derive("no-proxy=a") == ["no proxy is given"] * 3
    assert derive("http-proxy-user=a") == ["http-proxy is not given"]
    assert derive("http-proxy=") == ["it is empty, so that connections are direct"]
    assert Unused("x").reason == "x"


def test_a_malformed_network_is_an_error() -> None:
    with pytest.raises(OptionError, match="expected names, domains and networks") as caught:
        derive("all-proxy=p:1\nno-proxy=10.0.0.0/99")
    assert caught.value.option == "no-proxy"
