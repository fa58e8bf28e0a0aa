import pytest
from hypothesis import given
from hypothesis import strategies as st

from downloadd.errors import DomainBlockedError, InvalidUrlError
from downloadd.policy.domains import DomainRules
from downloadd.policy.url import parse_host

RULES = DomainRules(
    ["example.com", "*.files.example.net", "B\u00fccher.Example.", "192.0.2.1", "[2001:db8::1]", "2001:DB8:0::2"]
)


@pytest.mark.parametrize(
    "host",
    [
        "example.com", "EXAMPLE.com", "example.com.", "ex%61mple.com", "\uff45xample\u3002com",
        "a.files.example.net", "a.b.c.files.example.net", "xn--bcher-kva.example", "b\u00fccher.example",
        "192.0.2.1", "192%2e0.2.1", "[2001:db8::1]", "[2001:DB8:0:0::0002]",
    ],
)  # fmt: skip
def test_a_listed_host_passes_in_any_spelling(host: str) -> None:
    RULES.check_host(parse_host(host))


@pytest.mark.parametrize(
    "host",
    [
        "evilexample.com", "example.com.evil", "www.example.com", "example.co", "com", "xample.com", "example.comx",
        "files.example.net", "evilfiles.example.net", "a.files.example.net.evil", "example.net",
        "ex\u0430mple.com", "examp1e.com", "example-com", "bucher.example", "xn--bcher-kva.example.evil",
        "192.0.2.2", "192.0.2.1.example", "[2001:db8::3]", "[::ffff:192.0.2.1]", "localhost", "1.1.1.1",
    ],
)  # fmt: skip
def test_a_host_that_is_not_listed_is_blocked(host: str) -> None:
    with pytest.raises(DomainBlockedError, match="not among the allowed domains"):
        RULES.check_host(parse_host(host))


@pytest.mark.parametrize("host", ["example.com", "localhost", "127.0.0.1", "::1"])
def test_an_empty_list_allows_every_host(host: str) -> None:
    DomainRules(()).check_host(host)


@pytest.mark.parametrize(
    ("pattern", "problem"),
    [
        pytest.param("", "it is empty", id="empty"),
        pytest.param("*", "leave the list empty", id="star"),
        pytest.param("*.", "it is empty", id="star and dot"),
        pytest.param("*.*", "leave the list empty", id="two stars"),
        pytest.param("*.*.example.com", "at the start", id="star behind a star"),
        pytest.param("*example.com", "at the start", id="star without dot"),
        pytest.param("a.*.example.com", "at the start", id="star in the middle"),
        pytest.param("example.*", "at the start", id="star at the end"),
        pytest.param("https://example.com", "without scheme", id="URL"),
        pytest.param("example.com/path", "without scheme", id="path"),
        pytest.param("example.com:443", "without a port", id="port"),
        pytest.param("[::1]:443", "without a port", id="port of an IPv6 address"),
        pytest.param(".example.com", "empty label", id="leading dot"),
        pytest.param("exa mple.com", "character other", id="space"),
        pytest.param("user@example.com", "character other", id="user"),
        pytest.param("*.192.0.2.1", "no subdomains", id="subdomains of an address"),
        pytest.param("*.[::1]", "no subdomains", id="subdomains of an IPv6 address"),
        pytest.param("192.0.2.0/24", "without scheme", id="network"),
        pytest.param("192.0.2.256", "four decimal numbers", id="address out of range"),
        pytest.param("0xc0000201", "four decimal numbers", id="address in another spelling"),
        pytest.param("fe80::1%eth0", "zone", id="zone"),
        pytest.param("a" * 64, "longer than 63", id="long label"),
    ],
)
def test_a_malformed_pattern_is_refused_with_its_text_and_the_reason(pattern: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem) as caught:
        DomainRules(["example.com", pattern])
    assert "is not a domain" in str(caught.value)
    assert repr(pattern) in str(caught.value) or "*" in pattern
    assert "URL" not in str(caught.value)


names = st.lists(st.sampled_from(["a", "b", "ab", "com", "xn--bcher-kva", "a-b"]), min_size=1, max_size=4).map(".".join)


@given(st.lists(st.tuples(st.booleans(), names), max_size=4), names)
def test_the_rules_agree_with_a_simple_implementation(listed: list[tuple[bool, str]], host: str) -> None:
    patterns = [f"*.{name}" if wild else name for wild, name in listed]
    expected = not listed or any(host.endswith(f".{name}") if wild else host == name for wild, name in listed)
    assert DomainRules(patterns).allows_host(host) is expected


@given(st.text(max_size=30))
def test_any_pattern_is_read_or_refused(pattern: str) -> None:
    try:
        rules = DomainRules([pattern])
    except ValueError:
        return
    try:
        host = parse_host(pattern.removeprefix("*."))
    except InvalidUrlError:
        host = pattern
    assert rules.allows_host(f"sub.{host}" if pattern.startswith("*.") else host) or ":" in pattern
