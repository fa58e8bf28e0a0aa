"""The cookie jar, by the rules and examples of RFC 6265."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.allowed_urls import allowed_url
from support.cookie_jars import NOW, make_jar

from downloadd.origin import cookies
from downloadd.origin.cookies import Cookie, CookieJar, default_path, matches_domain, matches_path

URL = "https://www.example.com/a/b?c=/d"


def sent(set_cookies: list[str], set_by: str = URL, sent_to: str = URL) -> str:
    """Return the cookies of a request to `sent_to` after a response from `set_by`."""
    jar = make_jar()
    jar.store(allowed_url(set_by), set_cookies)
    return "; ".join(f"{name}={value}" for name, value in jar.select(allowed_url(sent_to)))


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        # The examples of RFC 6265, section 3.1.
        (["SID=31d4d96e407aad42"], "SID=31d4d96e407aad42"),
        (["SID=31d4d96e407aad42; Path=/; Domain=example.com"], "SID=31d4d96e407aad42"),
        (["SID=31d4; Path=/; Secure; HttpOnly", "lang=en-US; Path=/; Domain=example.com"], "SID=31d4; lang=en-US"),
        (["lang=en-US; Expires=Wed, 09 Jun 2100 10:18:14 GMT", "SID=1"], "lang=en-US; SID=1"),
        (["lang=en", "lang=; Expires=Sun, 06 Nov 1994 08:49:37 GMT", "SID=1"], "SID=1"),
        # Names and values.
        (["a=b=c"], "a=b=c"),
        (["  a \t=\t b  ; Path=/"], "a=b"),
        (['a="quoted, text"'], 'a="quoted, text"'),
        (["a="], "a="),
        (["a=b c"], "a=b c"),
        (["a"], ""),
        (["=b"], ""),
        ([" =b"], ""),
        (["; Path=/"], ""),
        ([""], ""),
        (["a=b\x01"], ""),
        (["a=\udce4"], ""),
        (["a=ü"], "a=ü"),
        (["a=1", "a=2"], "a=2"),
        (["a=1", "b=2", "a=3"], "a=3; b=2"),
        (["a=1", "A=2"], "a=1; A=2"),
        (["a=b; unknown; x=y"], "a=b"),
        (["a=b; SameSite=Strict"], "a=b"),
        # Ends.
        (["a=b; Max-Age=1"], "a=b"),
        (["a=b; Max-Age=0"], ""),
        (["a=b; Max-Age=-1"], ""),
        (["a=b; max-age=99999999999999999999"], "a=b"),
        (["a=b; Max-Age=-99999999999999999999"], ""),
        (["a=b; Max-Age=+0"], "a=b"),
        (["a=b; Max-Age=0x"], "a=b"),
        (["a=b; Max-Age=0; Expires=Wed, 09 Jun 2100 10:18:14 GMT"], ""),
        (["a=b; Max-Age=60; Expires=Sun, 06 Nov 1994 08:49:37 GMT"], "a=b"),
        (["a=b; Max-Age=0; Max-Age=60"], "a=b"),
        (["a=b; Expires=nonsense"], "a=b"),
    ],
)
def test_cookies_are_read_and_sent_to_where_they_come_from(lines: list[str], expected: str) -> None:
    assert sent(lines) == expected


@pytest.mark.parametrize(
    ("domain", "set_by", "sent_to", "expected"),
    [
        (None, "www.example.com", "www.example.com", True),
        (None, "www.example.com", "example.com", False),
        (None, "example.com", "www.example.com", False),
        ("", "example.com", "www.example.com", False),
        ("example.com", "www.example.com", "example.com", True),
        ("example.com", "example.com", "a.b.example.com", True),
        (".example.com", "www.example.com", "other.example.com", True),
        ("EXAMPLE.com", "www.example.com", "other.example.com", True),
        ("www.example.com", "www.example.com", "a.www.example.com", True),
        ("www.example.com", "example.com", "www.example.com", False),
        ("other.example.com", "www.example.com", "other.example.com", False),
        ("ample.com", "www.example.com", "www.example.com", False),
        ("example.org", "example.com", "example.org", False),
        ("..example.com", "www.example.com", "www.example.com", False),
        ("example.com.", "www.example.com", "example.com", True),
        ("a b", "www.example.com", "www.example.com", False),
        ("bücher.example", "www.xn--bcher-kva.example", "xn--bcher-kva.example", True),
        # Public suffixes.
        ("com", "example.com", "other.com", False),
        ("com", "example.com", "example.com", False),
        ("co.uk", "example.co.uk", "other.co.uk", False),
        ("github.io", "ann.github.io", "bob.github.io", False),
        ("xn--55qx5d.cn", "a.xn--55qx5d.cn", "b.xn--55qx5d.cn", False),
        ("公司.cn", "a.xn--55qx5d.cn", "b.xn--55qx5d.cn", False),
        ("lan", "nas.lan", "other.lan", False),
        ("nas.lan", "www.nas.lan", "nas.lan", True),
        # That of the host itself is for the host alone.
        ("github.io", "github.io", "github.io", True),
        ("github.io", "github.io", "ann.github.io", False),
        ("nas", "nas", "nas", True),
        # Addresses.
        ("8.8.8.8", "8.8.8.8", "8.8.8.8", True),
        ("8.8.8", "8.8.8.8", "8.8.8.8", False),
        ("8.8", "8.8.8.8", "8.8.8.8", False),
        (None, "[2001:db9::1]", "[2001:db9::1]", True),
    ],
)
def test_a_domain_is_that_of_the_host_or_above_it(
    domain: str | None, set_by: str, sent_to: str, expected: bool
) -> None:
    line = "a=b" if domain is None else f"a=b; Domain={domain}"
    assert sent([line], f"https://{set_by}/", f"https://{sent_to}/") == ("a=b" if expected else "")


@pytest.mark.parametrize(
    ("path", "set_by", "sent_to", "expected"),
    [
        (None, "/a/b", "/a/c?x", True),
        (None, "/a/b", "/a", True),
        (None, "/a/b", "/", False),
        (None, "/a/b", "/ab", False),
        (None, "/a", "/b", True),
        (None, "/?x=/y/z", "/b", True),
        ("/a", "/", "/a", True),
        ("/a", "/", "/a/b", True),
        ("/a", "/", "/ab", False),
        ("/a/", "/", "/a", False),
        ("/a/", "/", "/a/b", True),
        ("/", "/a/b", "/", True),
        ("a", "/x/y", "/x/z", True),
        ("", "/x/y", "/z", False),
        ("/A", "/", "/a", False),
    ],
)
def test_a_path_is_matched_by_segments(path: str | None, set_by: str, sent_to: str, expected: bool) -> None:
    line = "a=b" if path is None else f"a=b; Path={path}"
    assert sent([line], f"https://e.com{set_by}", f"https://e.com{sent_to}") == ("a=b" if expected else "")


@pytest.mark.parametrize(
    ("line", "set_by", "sent_to", "expected"),
    [
        ("a=b; Secure", "https", "https", True),
        ("a=b; Secure", "https", "http", False),
        ("a=b; secure=x", "https", "http", False),
        ("a=b; Secure", "http", "https", False),
        ("a=b", "https", "http", True),
        ("__Secure-a=b; Secure", "https", "https", True),
        ("__Secure-a=b", "https", "https", False),
        ("__Secure-a=b; Secure", "http", "https", False),
        ("__SECURE-a=b", "https", "https", False),
        ("__Host-a=b; Secure; Path=/", "https", "https", True),
        ("__Host-a=b; Secure; Path=/; Domain=e.com", "https", "https", False),
        ("__Host-a=b; Secure", "https", "https", False),
        ("__Host-a=b; Secure; Path=/x", "https", "https", False),
        ("__host-a=b; Path=/", "https", "https", False),
    ],
)
def test_secure_cookies_need_tls(line: str, set_by: str, sent_to: str, expected: bool) -> None:
    assert bool(sent([line], f"{set_by}://e.com/x/y", f"{sent_to}://e.com/x/y")) == expected


def test_a_response_without_tls_hides_no_secure_cookie() -> None:
    jar = make_jar()
    jar.store(allowed_url("https://e.com/"), ["a=secure; Secure; Domain=e.com; Path=/"])
    for host in ("e.com", "www.e.com"):
        jar.store(
            allowed_url(f"http://{host}/x/y"), ["a=evil; Path=/", "a=evil; Path=/x", "a=evil; Domain=e.com", "b=1"]
        )
    assert jar.select(allowed_url("https://e.com/x")) == [("b", "1"), ("a", "secure")]


def test_longer_paths_come_first_and_then_older_cookies() -> None:
    lines = ["a=1; Path=/", "b=2; Path=/a", "c=3; Path=/", "b=4; Path=/", "d=5; Path=/a"]
    assert sent(lines) == "b=2; d=5; a=1; c=3; b=4"


def test_a_cookie_ends_while_the_jar_lives() -> None:
    time = [NOW]
    jar = CookieJar(is_public_suffix=lambda host: False, now=lambda: time[0])
    jar.store(allowed_url(URL), ["a=1; Max-Age=10", "b=2; Expires=Tue, 14 Nov 2023 22:13:25 GMT", "c=3"])
    for seconds, expected in ((0, "abc"), (4.9, "abc"), (5, "ac"), (9.9, "ac"), (10, "c"), (1e9, "c")):
        time[0] = NOW + seconds
        assert "".join(name for name, _ in jar.select(allowed_url(URL))) == expected
    assert len(jar) == 1


# -- limits ------------------------------------------------------------------------------------------------------------


def test_a_cookie_has_4_kib_at_most() -> None:
    assert sent([f"a={'x' * 4095}"]) == f"a={'x' * 4095}"
    assert sent([f"a={'x' * 4096}"]) == ""
    assert sent([f"a={'ü' * 2048}"]) == ""


def test_a_domain_has_50_cookies_and_the_newest_stay() -> None:
    names = sent([f"c{n}=" for n in range(60)]).split("; ")
    assert names == [f"c{n}=" for n in range(10, 60)]
    both = make_jar()
    both.store(allowed_url("https://www.example.com/"), [f"c{n}=" for n in range(60)])
    both.store(allowed_url("https://www.example.com/"), [f"d{n}=; Domain=example.com" for n in range(60)])
    assert len(both) == 100


def test_a_jar_has_3000_cookies_and_the_newest_stay() -> None:
    jar = make_jar()
    for n in range(cookies.MAX_COOKIES + 100):
        jar.store(allowed_url(f"https://h{n}.example.com/"), ["a=b"])
    assert len(jar) == cookies.MAX_COOKIES
    assert jar.select(allowed_url("https://h99.example.com/")) == []
    assert jar.select(allowed_url("https://h100.example.com/")) == [("a", "b")]


def test_a_request_has_64_kib_of_cookies_at_most() -> None:
    line = sent([f"c{n}={'x' * 4000}; Path=/" for n in range(50)])
    assert 60_000 < len(line) <= cookies.MAX_SENT_BYTES


# -- the rules apart ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "expected"), [("/", "/"), ("/a", "/"), ("/a/", "/a"), ("/a/b/c", "/a/b"), ("", "/"), ("a/b", "/")]
)
def test_the_default_path_is_the_directory(path: str, expected: str) -> None:
    assert default_path(path) == expected


HOSTS = st.lists(st.sampled_from(["a", "b", "com", "x"]), min_size=1, max_size=4).map(".".join)
PATHS = st.lists(st.sampled_from(["", "a", "ab"]), max_size=4).map(lambda parts: "/" + "/".join(parts))


@given(HOSTS, HOSTS)
def test_a_domain_matches_whole_labels_at_the_end(host: str, domain: str) -> None:
    labels, wanted = host.split("."), domain.split(".")
    assert matches_domain(host, domain) == (labels[-len(wanted) :] == wanted)


@given(PATHS, PATHS)
def test_a_path_matches_whole_segments_at_the_start(path: str, cookie_path: str) -> None:
    segments = cookie_path.rstrip("/")
    assert matches_path(path, cookie_path) == (
        path == cookie_path or path.startswith(cookie_path if cookie_path.endswith("/") else f"{segments}/")
    )


@given(st.lists(st.text(max_size=60), max_size=10), HOSTS)
def test_any_line_is_read_and_no_other_site_gets_anything(lines: list[str], host: str) -> None:
    jar = make_jar()
    jar.store(allowed_url("https://www.example.com/"), lines)
    for name, value in jar.select(allowed_url("https://www.example.com/")):
        assert not {"\r", "\n", ";", "\x00"} & set(name + value)
    assert jar.select(allowed_url(f"https://{host}/")) == []


def test_a_cookie_shows_no_value() -> None:
    cookie = Cookie(
        name="a", value="hush4711", domain="e.com", is_host_only=True, path="/", is_secure=True, expires=None
    )
    assert "hush4711" not in f"{cookie} {cookie!r}"
