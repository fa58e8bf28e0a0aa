import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.allowed_urls import allowed_url

from downloadd.errors import (
    DomainBlockedError,
    DownloadError,
    InvalidUrlError,
    RemoteError,
    TooManyRedirectsError,
)
from downloadd.policy.addresses import AddressRules
from downloadd.policy.domains import DomainRules
from downloadd.policy.policy import Policy
from downloadd.policy.redirects import may_keep_credentials, method_after_redirect, resolve_redirect
from downloadd.request_fields import Method

BASE = allowed_url("http://u:p@a.example:8081/b/../c/d;p?q=%2f")


@pytest.mark.parametrize(
    ("location", "target"),
    [
        pytest.param("https://b.example/x?y#z", "https://b.example/x?y", id="absolute"),
        pytest.param("HTTP://B.example:80", "http://b.example/", id="absolute without path"),
        pytest.param("//b.example/../x", "http://b.example/../x", id="scheme-relative"),
        pytest.param("/x/../y//z%2f?a=+b", "http://a.example:8081/x/../y//z%2f?a=+b", id="absolute path"),
        pytest.param("/x?", "http://a.example:8081/x?", id="empty query"),
        pytest.param("g", "http://a.example:8081/b/../c/g", id="relative"),
        pytest.param("g/?x=../y", "http://a.example:8081/b/../c/g/?x=../y", id="dots in the query"),
        pytest.param("./g", "http://a.example:8081/c/g", id="dot"),
        pytest.param("../g", "http://a.example:8081/g", id="two dots"),
        pytest.param("../../../g/.", "http://a.example:8081/g/", id="above the root"),
        pytest.param("..", "http://a.example:8081/", id="two dots alone"),
        pytest.param("g:80/x", None, id="a relative path with a colon is a scheme"),
        pytest.param("?x", "http://a.example:8081/b/../c/d;p?x", id="query"),
        pytest.param("", "http://a.example:8081/b/../c/d;p?q=%2f", id="empty"),
        pytest.param("#f", "http://a.example:8081/b/../c/d;p?q=%2f", id="fragment"),
        pytest.param("  /x \t", "http://a.example:8081/x", id="white space around"),
        pytest.param("/a b\u00fc", "http://a.example:8081/a%20b%C3%BC", id="space and raw UTF-8"),
        pytest.param("/a\udcfc", "http://a.example:8081/a%FC", id="raw Latin-1"),
        pytest.param("https://u2:p2@b.example/", "https://b.example/", id="userinfo"),
    ],
)
def test_a_location_is_resolved_and_keeps_its_bytes(location: str, target: str | None) -> None:
    if target is None:
        with pytest.raises(InvalidUrlError):
            resolve_redirect(BASE, location, 1, Policy())
        return
    hop = resolve_redirect(BASE, location, 1, Policy())
    assert hop.text == target
    assert hop.userinfo == (("u2", "p2") if "u2" in location else None)


# RFC 3986, section 5.4, without absolute references and those that the strictness of dot segments decides.
RFC3986 = allowed_url("http://a/b/c/d;p?q")


@pytest.mark.parametrize(
    ("reference", "target"),
    [
        ("g", "http://a/b/c/g"), ("./g", "http://a/b/c/g"), ("g/", "http://a/b/c/g/"), ("/g", "http://a/g"),
        ("//g", "http://g/"), ("?y", "http://a/b/c/d;p?y"), ("g?y", "http://a/b/c/g?y"), ("#s", "http://a/b/c/d;p?q"),
        ("g#s", "http://a/b/c/g"), ("g?y#s", "http://a/b/c/g?y"), (";x", "http://a/b/c/;x"), ("g;x", "http://a/b/c/g;x"),
        ("", "http://a/b/c/d;p?q"), (".", "http://a/b/c/"), ("./", "http://a/b/c/"), ("..", "http://a/b/"),
        ("../", "http://a/b/"), ("../g", "http://a/b/g"), ("../..", "http://a/"), ("../../", "http://a/"),
        ("../../g", "http://a/g"), ("../../../g", "http://a/g"), ("g.", "http://a/b/c/g."), ("..g", "http://a/b/c/..g"),
        ("./../g", "http://a/b/g"), ("./g/.", "http://a/b/c/g/"), ("g/./h", "http://a/b/c/g/h"),
        ("g/../h", "http://a/b/c/h"), ("g;x=1/../y", "http://a/b/c/y"), ("g?y/../x", "http://a/b/c/g?y/../x"),
    ],
)  # fmt: skip
def test_the_examples_of_the_rfc_resolve_as_it_says(reference: str, target: str) -> None:
    assert resolve_redirect(RFC3986, reference, 1, Policy()).text == target


@pytest.mark.parametrize(
    "location",
    [
        "file:///etc/passwd",
        "ftp://b.example/",
        "javascript:alert(1)",
        "data:,x",
        "gopher://127.0.0.1:25/",
        "mailto:a@b.example",
    ],
)
def test_another_scheme_is_refused_as_a_redirect(location: str) -> None:
    with pytest.raises(InvalidUrlError, match="redirects"):
        resolve_redirect(BASE, location, 1, Policy())


@pytest.mark.parametrize(
    "location",
    [
        None, "http://", "http:///x", "http:x", "//", "http://[::1/", "http://h:99999/", "/a\\b", "\\\\b.example\\",
        "/\\b.example", "//a@b@c/", "/a\x00b", "/a\r\nb", "/" + "a" * 20000, "http://xn--a.example/",
        "http://127.1/", "//0x7f.1/", "http://010.0.0.1/",
    ],
)  # fmt: skip
def test_a_missing_or_malformed_location_is_an_error_of_the_origin(location: str | None) -> None:
    with pytest.raises(RemoteError, match=r"answered 307.*Location") as caught:
        resolve_redirect(BASE, location, 1, Policy(), status=307)
    assert not caught.value.transient


@pytest.mark.parametrize(
    "location",
    [
        "http://127.0.0.1/",
        "//127.0.0.2/",
        "//localhost",
        "http://[::ffff:127.0.0.1]/",
        "https://169.254.169.254/",
    ],
)
def test_a_redirect_is_checked_like_a_first_request(location: str) -> None:
    with pytest.raises(DomainBlockedError, match="redirects"):
        resolve_redirect(BASE, location, 1, Policy())
    allowed = AddressRules(["127.0.0.0/8", "169.254.0.0/16"])
    resolve_redirect(BASE, location, 1, Policy(addresses=allowed))


def test_a_redirect_out_of_the_domain_list_is_blocked() -> None:
    policy = Policy(domains=DomainRules(["a.example"]))
    resolve_redirect(BASE, "/x", 1, policy)
    with pytest.raises(DomainBlockedError, match=r"b\.example"):
        resolve_redirect(BASE, "http://b.example/", 1, policy)


def test_the_tenth_redirect_is_followed_and_the_eleventh_is_not() -> None:
    resolve_redirect(BASE, "/x", 10, Policy())
    with pytest.raises(TooManyRedirectsError, match="10"):
        resolve_redirect(BASE, "/x", 11, Policy())
    with pytest.raises(TooManyRedirectsError, match="2"):
        resolve_redirect(BASE, "/x", 3, Policy(), limit=2)


@pytest.mark.parametrize(
    ("target", "kept"),
    [
        pytest.param("http://a.example:8081/other", True, id="same origin"),
        pytest.param("http://A.EXAMPLE.:08081/", True, id="same origin in another spelling"),
        pytest.param("https://a.example:8081/", False, id="other scheme"),
        pytest.param("http://a.example/", False, id="other port"),
        pytest.param("http://b.a.example:8081/", False, id="subdomain"),
        pytest.param("http://example:8081/", False, id="parent domain"),
    ],
)
def test_credentials_stay_with_their_origin(target: str, kept: bool) -> None:
    assert may_keep_credentials(BASE, allowed_url(target)) is kept


def test_a_downgrade_is_followed_without_credentials() -> None:
    source = allowed_url("https://u:p@a.example/")
    hop = resolve_redirect(source, "http://a.example/", 1, Policy())
    assert hop.userinfo is None
    assert not may_keep_credentials(source, hop)


@given(st.one_of(st.text(), st.text("/.:?#@[]\\%ab0", max_size=30)))
def test_any_location_is_followed_or_refused(location: str) -> None:
    try:
        hop = resolve_redirect(BASE, location, 1, Policy())
    except DownloadError:
        return
    Policy().check_url(hop.text)


@pytest.mark.parametrize(
    ("method", "status", "target", "expected"),
    [
        (Method.POST, 301, "http://a.example:8081/x", Method.GET),
        (Method.POST, 302, "https://b.example/", Method.GET),
        (Method.POST, 303, "https://b.example/", Method.GET),
        (Method.POST, 307, "http://a.example:8081/x", Method.POST),
        (Method.POST, 308, "http://a.example:8081/x", Method.POST),
        (Method.POST, 307, "https://a.example:8081/x", None),
        (Method.POST, 308, "http://a.example/x", None),
        (Method.GET, 303, "https://b.example/", Method.GET),
        (Method.GET, 308, "https://b.example/", Method.GET),
    ],
)
def test_a_post_stays_one_at_its_origin_and_by_307_and_308_only(
    method: Method, status: int, target: str, expected: Method | None
) -> None:
    if expected is not None:
        assert method_after_redirect(method, status, BASE, allowed_url(target)) is expected
        return
    with pytest.raises(RemoteError, match="redirects a POST to another origin") as caught:
        method_after_redirect(method, status, BASE, allowed_url(target))
    assert not caught.value.transient
