from ipaddress import IPv4Address

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.allowed_urls import allowed_url

from downloadd.errors import InvalidUrlError
from downloadd.origin.request_head import encode_request_head
from downloadd.policy.url import MAX_URL_BYTES, format_host, has_http_scheme, host_of, is_address, parse_host, parse_url

TARGETS = [
    "/",
    "/a/../b",
    "/..",
    "/./a/./",
    "/a/%2e%2e/b",
    "//x//y",
    "///",
    "/%7e%7E",
    "/%41%2f%2F",
    "/?a=b+c&d=%2f",
    "/a?",
    "/??",
    "/a??b=?",
    "/;p=1",
    "/a;b;c=1?d;e",
    "/%zz",
    "/100%",
    "/%",
    "/a=b&c",
    "/a:b@c",
    "/@user",
    "/a?b=http://x:y@h/",
    "/a|b^c`d{e}f[g]",
    "/a?x=[1]&y={z}|^`",
    "/a?b=c\\d",
    "/a'b(c)*!$,~_-.",
    "/%C3%BC?%c3%bc",
    "/a+b%20c%2Bd",
    "/a?&&=&",
    "/index.html?X-Amz-Credential=AK%2F2026%2fus&X-Amz-Signature=aB+/=",
]

PRINTABLE = "".join(chr(i) for i in range(0x21, 0x7F) if chr(i) not in '"<>#')
targets = st.text(PRINTABLE, max_size=60).map(lambda text: f"/{text}").filter(lambda t: "\\" not in t.partition("?")[0])


def sent_target(text: str) -> bytes:
    """Return the target of the request line for a URL."""
    line = encode_request_head(allowed_url(text), [], method="GET", via_proxy=False).partition(b"\r\n")[0]
    return line.removeprefix(b"GET ").removesuffix(b" HTTP/1.1")


@pytest.mark.parametrize("target", TARGETS)
def test_the_request_target_is_sent_as_it_is(target: str) -> None:
    assert sent_target(f"http://127.0.0.1{target}") == target.encode()


@given(targets)
def test_any_request_target_is_sent_byte_for_byte(target: str) -> None:
    assert sent_target(f"http://127.0.0.1{target}") == target.encode()


@pytest.mark.parametrize(
    ("given_rest", "sent"),
    [
        pytest.param("", "/", id="no path"),
        pytest.param("?", "/?", id="no path but an empty query"),
        pytest.param("?a=b", "/?a=b", id="no path but a query"),
        pytest.param("#f", "/", id="a fragment only"),
        pytest.param("/a#f?g", "/a", id="a fragment"),
        pytest.param("/a?b#", "/a?b", id="an empty fragment"),
        pytest.param("/a b", "/a%20b", id="space"),
        pytest.param("/a?b= c", "/a?b=%20c", id="space in the query"),
        pytest.param('/"<>"?"<>"', "/%22%3C%3E%22?%22%3C%3E%22", id="delimiters"),
        pytest.param("/\u00fc/\u2028?\U0001f600", "/%C3%BC/%E2%80%A8?%F0%9F%98%80", id="not ASCII"),
        pytest.param("/\udcfc%fc", "/%FC%fc", id="a byte that is not UTF-8"),
    ],
)
def test_characters_that_a_request_line_may_not_hold_are_percent_encoded(given_rest: str, sent: str) -> None:
    assert sent_target(f"http://127.0.0.1{given_rest}") == sent.encode()


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        pytest.param("http://example.com/", "example.com", 80, id="default port of http"),
        pytest.param("HTTPS://EXAMPLE.com/", "example.com", 443, id="case of scheme and host"),
        pytest.param("http://example.com:/", "example.com", 80, id="empty port"),
        pytest.param("http://example.com:00080/", "example.com", 80, id="zeros before the port"),
        pytest.param("http://example.com:65535", "example.com", 65535, id="highest port"),
        pytest.param("http://example.com./", "example.com", 80, id="trailing dot"),
        pytest.param("http://ex%61mple.com/", "example.com", 80, id="escapes in the host"),
        pytest.param("http://my_bucket.example.com/", "my_bucket.example.com", 80, id="underscore"),
        pytest.param("http://r3---sn-x.example.com/", "r3---sn-x.example.com", 80, id="hyphens in 3rd and 4th place"),
        pytest.param("http://-a-.example.com/", "-a-.example.com", 80, id="hyphens at the ends"),
        pytest.param("http://b\u00fccher.example/", "xn--bcher-kva.example", 80, id="U-label"),
        pytest.param("http://B\u00dcCHER.example/", "xn--bcher-kva.example", 80, id="upper-case U-label"),
        pytest.param("http://XN--BCHER-KVA.example/", "xn--bcher-kva.example", 80, id="A-label"),
        pytest.param("http://xn--i-7iq.ws/", "xn--i-7iq.ws", 80, id="A-label of an emoji"),
        pytest.param("http://b%C3%BCcher.example/", "xn--bcher-kva.example", 80, id="escaped U-label"),
        pytest.param("http://stra\u00dfe.example/", "xn--strae-oqa.example", 80, id="sharp s is not ss"),
        pytest.param("http://example\u3002com/", "example.com", 80, id="ideographic full stop"),
        pytest.param("http://\uff45xample.com/", "example.com", 80, id="full-width letter"),
        pytest.param("http://exa\u00admple.com/", "example.com", 80, id="soft hyphen"),
        pytest.param("http://93.184.216.34:8080/", "93.184.216.34", 8080, id="IPv4"),
        pytest.param("http://[2606:4700::1111]:81/", "2606:4700::1111", 81, id="IPv6"),
        pytest.param("http://[2606:4700:0:0::1111]/", "2606:4700::1111", 80, id="IPv6 not in its shortest form"),
        pytest.param("http://123.example/", "123.example", 80, id="digits in front of a name"),
        pytest.param("http://0x7f.example/", "0x7f.example", 80, id="hexadecimal in front of a name"),
    ],
)
def test_host_and_port_are_read_into_their_canonical_spelling(text: str, host: str, port: int) -> None:
    url = parse_url(text)
    assert (url.host, url.port) == (host, port)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "%31%32%37.0.0.1", "127%2e0%2E0%2e1", "\uff11\uff12\uff17.0.0.1", "127\u30020\uff0e0\uff611",
        "\u2460\u2461\u2466.\u24ea.0.1", "\U0001d7d9\U0001d7da\U0001d7df.0.0.1",
    ],
)  # fmt: skip
def test_a_dotted_quad_is_an_ipv4_address_also_in_other_digits(host: str) -> None:
    url = parse_url(f"http://{host}/")
    assert url.host == "127.0.0.1"
    assert url.text == "http://127.0.0.1/"
    assert is_address(url.host)


@pytest.mark.parametrize(
    "host",
    [
        "2130706433", "0x7f000001", "0X7F000001", "017700000001", "127.1", "127.0.1", "0177.0.0.1", "0x7f.1", "0",
        "0x7f.0.0.1", "127.0.0.1.", "127.0x0.00.0x1", "\u2460\u2461\u2466.1", "0000000000000177.1", "010.000.000.001",
        "127.0.0.01", "00.0.0.0", "127.0.0.1\u3002", "127.0.0.256", "1.2.3.4.5", "1.2.3.1000", "example.1", "a.0x7f",
        "0x", "4294967296", "08.0.0.1", "%30177.0.0.1", "\uff10\uff11\uff17\uff17.0.0.1", "127.0.0.1%2e",
    ],
)  # fmt: skip
def test_another_spelling_of_an_ipv4_address_is_refused_with_the_right_one(host: str) -> None:
    for text in (f"http://{host}/", f"http://u:p@{host}:80"):
        with pytest.raises(InvalidUrlError, match="four decimal numbers from 0 to 255, without leading zeros"):
            parse_url(text)


@pytest.mark.parametrize(
    ("host", "parsed"),
    [
        ("[::FFFF:1.2.3.4]", "::ffff:1.2.3.4"),
        ("[0:0:0:0:0:ffff:102:304]", "::ffff:1.2.3.4"),
        ("[2606:4700:0::ABCD]", "2606:4700::abcd"),
        ("[64:FF9B::8.8.8.8]", "64:ff9b::808:808"),
    ],
)
def test_an_ipv6_address_has_one_spelling_on_every_version_of_python(host: str, parsed: str) -> None:
    assert parse_url(f"http://{host}/").host == parsed
    assert parse_host(f"[{parsed}]") == parsed


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param("", "empty", id="empty"),
        pytest.param(" http://h/", "begins or ends with white space", id="leading space"),
        pytest.param("http://h/\u3000", "begins or ends with white space", id="trailing space"),
        pytest.param("http://h/\n", "control character", id="line break"),
        pytest.param("http://h/\r\nHost: evil", "control character", id="header injection"),
        pytest.param("ht\ttp://h/", "control character", id="tab in the scheme"),
        pytest.param("http://h/?a=\x00", "control character", id="NUL"),
        pytest.param("http://h/#\x7f", "control character", id="DEL in the fragment"),
        pytest.param("http://h/\ud800", "surrogate", id="half a surrogate pair"),
        pytest.param("http://h/" + "a" * MAX_URL_BYTES, "longer than", id="too long"),
        pytest.param("http://h/" + "\u00fc" * (MAX_URL_BYTES // 3), "longer than", id="too long once encoded"),
        pytest.param("example.com/file", "no scheme", id="no scheme"),
        pytest.param("example.com:80/file", "no scheme", id="host and port without scheme"),
        pytest.param("//example.com/file", "no scheme", id="scheme-relative"),
        pytest.param("/etc/passwd", "no scheme", id="path"),
        pytest.param("http", "no scheme", id="scheme without colon"),
        pytest.param("1http://h/", "no scheme", id="scheme that begins with a digit"),
        pytest.param("file:///etc/passwd", "neither http nor https", id="file"),
        pytest.param("ftp://h/", "neither http nor https", id="ftp"),
        pytest.param("gopher://h/", "neither http nor https", id="gopher"),
        pytest.param("http+unix://h/", "neither http nor https", id="http+unix"),
        pytest.param("ws://h/", "neither http nor https", id="ws"),
        pytest.param("http:h/", "two slashes", id="no slash"),
        pytest.param("http:/h/", "two slashes", id="one slash"),
        pytest.param("http:\\\\h\\", "two slashes", id="backslashes for slashes"),
        pytest.param("http://", "no host", id="nothing behind the slashes"),
        pytest.param("http:///h/", "no host", id="three slashes"),
        pytest.param("http://?a", "no host", id="query without host"),
        pytest.param("http://:80/", "no host", id="port without host"),
        pytest.param("http://user@/", "no host", id="userinfo without host"),
        pytest.param("http://h:0/", "port", id="port 0"),
        pytest.param("http://h:65536/", "port", id="port too high"),
        pytest.param("http://h:" + "9" * 5000, "port", id="port of 5000 digits"),
        pytest.param("http://h:-1/", "port", id="negative port"),
        pytest.param("http://h:+80/", "port", id="signed port"),
        pytest.param("http://h:8_0/", "port", id="port with an underscore"),
        pytest.param("http://h:\uff18\uff10/", "port", id="full-width port"),
        pytest.param("http://h:80:80/", "port", id="two ports"),
        pytest.param("http://h:http/", "port", id="port by name"),
        pytest.param("http://good.example\\@evil.example/", "backslash", id="backslash before the at sign"),
        pytest.param("http://good.example\\.evil.example/", "backslash", id="backslash in the host"),
        pytest.param("http://h/a\\b", "backslash", id="backslash in the path"),
        pytest.param("http://h h/", "white space", id="space in the host"),
        pytest.param("http://good.example @evil.example/", "white space", id="space in the userinfo"),
        pytest.param("http://h\u00a0h/", "white space", id="no-break space in the host"),
        pytest.param("http://a@b@c/", "more than one @", id="two at signs"),
        pytest.param("http://a:b@c:d@e/", "more than one @", id="two userinfos"),
        pytest.param("http://[::1]@h/", "percent-encoded", id="brackets in the userinfo"),
        pytest.param("http://a%3ab:c@h/", "colon", id="colon in the user name"),
        pytest.param("http://a:%0d%0a@h/", "control character", id="line break in the password"),
        pytest.param("http://a:%ff@h/", "not UTF-8", id="password that is not UTF-8"),
        pytest.param("http://[::1/", "not closed", id="bracket not closed"),
        pytest.param("http://::1/", "no host", id="IPv6 without brackets"),
        pytest.param("http://2606::1/", "four decimal numbers", id="IPv6 without brackets that begins with digits"),
        pytest.param("http://[::1]x/", "other than a port", id="text behind the brackets"),
        pytest.param("http://[::1].evil.example/", "other than a port", id="name behind the brackets"),
        pytest.param("http://x[::1]/", "brackets", id="text before the brackets"),
        pytest.param("http://[[::1]]/", "other than a port", id="two pairs of brackets"),
        pytest.param("http://[127.0.0.1]/", "not hold an IPv6 address", id="IPv4 in brackets"),
        pytest.param("http://[h]/", "not hold an IPv6 address", id="name in brackets"),
        pytest.param("http://[]/", "not hold an IPv6 address", id="empty brackets"),
        pytest.param("http://[v1.a]/", "not hold an IPv6 address", id="IPvFuture"),
        pytest.param("http://[::ffff:0177.0.0.1]/", "not hold an IPv6 address", id="octal in IPv6"),
        pytest.param("http://[fe80::1%25eth0]/", "zone", id="zone"),
        pytest.param("http://[fe80::1%eth0]/", "zone", id="zone not escaped"),
        pytest.param("http://h%zz/", "percent escape", id="invalid escape in the host"),
        pytest.param("http://h%/", "percent escape", id="cut escape in the host"),
        pytest.param("http://h%ff/", "not UTF-8", id="escape in the host that is not UTF-8"),
        pytest.param("http://h%2fx/", "character other than", id="escaped slash in the host"),
        pytest.param("http://h%40x/", "character other than", id="escaped at sign in the host"),
        pytest.param("http://h%00.example/", "character other than", id="escaped NUL in the host"),
        pytest.param("http://h%2561/", "character other than", id="host escaped twice"),
        pytest.param("http://good.example\u2100evil.example/", "character other than", id="account of, maps to a/c"),
        pytest.param("http://good.example\uff0fevil.example/", "character other than", id="full-width slash"),
        pytest.param("http://good.example\uff20evil.example/", "character other than", id="full-width at sign"),
        pytest.param("http://good.example\uff1a80/", "character other than", id="full-width colon"),
        pytest.param("http://h!/", "character other than", id="exclamation mark in the host"),
        pytest.param("http://*/", "character other than", id="star"),
        pytest.param("http://h..x/", "empty label", id="empty label"),
        pytest.param("http://.h/", "empty label", id="leading dot"),
        pytest.param("http://h../", "empty label", id="two trailing dots"),
        pytest.param("http://./", "empty label", id="a dot"),
        pytest.param("http://\u00ad/", "empty label", id="nothing left after the mapping"),
        pytest.param(f"http://{'a' * 64}.example/", "longer than 63", id="long label"),
        pytest.param(f"http://{'.'.join(['a' * 49] * 6)}/", "longer than 253", id="long host"),
        pytest.param(f"http://{chr(0xFC) * 5000}/", "longer than 253", id="long host that is not ASCII"),
        pytest.param("http://\u0378.example/", "internationalized", id="code point that is not assigned"),
        pytest.param("http://\u0301a.example/", "internationalized", id="combining mark in front"),
        pytest.param("http://xn--a.example/", "Punycode", id="Punycode of nothing"),
        pytest.param("http://xn--example-.com/", "Punycode", id="Punycode of ASCII"),
        pytest.param("http://xn--99999999.example/", "Punycode", id="Punycode out of range"),
        pytest.param("http://xn--0.pt/", "Punycode", id="Punycode that ends early"),
        pytest.param("http://256.0.0.1/", "four decimal numbers", id="IPv4 out of range"),
        pytest.param("http://1.2.3.256/", "four decimal numbers", id="last number out of range"),
        pytest.param("http://4294967296/", "four decimal numbers", id="integer out of range"),
        pytest.param("http://1.16777216/", "four decimal numbers", id="two numbers out of range"),
        pytest.param("http://1.2.3.4.5/", "four decimal numbers", id="five numbers"),
        pytest.param("http://1..2/", "four decimal numbers", id="IPv4 with an empty part"),
        pytest.param("http://example.1/", "four decimal numbers", id="number behind a name"),
        pytest.param("http://example.0x/", "four decimal numbers", id="0x behind a name"),
        pytest.param("http://08.0.0.1/", "four decimal numbers", id="octal with an 8"),
        pytest.param("http://1.2.3.09/", "four decimal numbers", id="octal with a 9"),
        pytest.param(f"http://{'9' * 5000}/", "four decimal numbers", id="integer of 5000 digits"),
    ],
)  # fmt: skip
def test_a_malformed_url_is_refused_with_the_reason(text: str, problem: str) -> None:
    with pytest.raises(InvalidUrlError, match=problem):
        parse_url(text)


@pytest.mark.parametrize(
    ("text", "userinfo"),
    [
        pytest.param("http://h/", None, id="none"),
        pytest.param("http://@h/", None, id="empty"),
        pytest.param("http://u@h/", ("u", ""), id="user only"),
        pytest.param("http://u:@h/", ("u", ""), id="empty password"),
        pytest.param("http://:p@h/", ("", "p"), id="password only"),
        pytest.param("http://u:p:q@h/", ("u", "p:q"), id="colon in the password"),
        pytest.param("http://u%40x:p%2F%3a%23@h/", ("u@x", "p/:#"), id="escapes"),
        pytest.param("http://u+:p%zz@h/", ("u+", "p%zz"), id="plus and an invalid escape"),
        pytest.param("http://\u00fc:%C3%BC@h/", ("\u00fc", "\u00fc"), id="not ASCII"),
    ],
)
def test_userinfo_is_taken_out_and_decoded(text: str, userinfo: tuple[str, str] | None) -> None:
    url = parse_url(text)
    assert url.userinfo == userinfo
    assert url.text == "http://h/"


def test_the_origin_is_scheme_host_and_port() -> None:
    assert parse_url("HTTPS://u:p@Example.COM.:443/a").origin == "https://example.com"
    assert parse_url("http://example.com:443/a").origin == "http://example.com:443"
    assert parse_url("http://[0::1]:8080/a").origin == "http://[::1]:8080"


def test_a_printed_url_holds_no_secret() -> None:
    assert "secret" not in repr(parse_url("http://u:secret1@h/?sig=secret2"))


@pytest.mark.parametrize(
    "text", ["http://u:topsecret@h:x/", "http://topsecret@h@h/", "http://u:topsecret@[/?topsecret"]
)
def test_the_message_holds_nothing_of_the_userinfo(text: str) -> None:
    with pytest.raises(InvalidUrlError) as caught:
        parse_url(text)
    assert "topsecret" not in caught.value.detail


near_urls = st.one_of(
    st.text(),
    st.builds(
        "{}://{}{}".format,
        st.sampled_from(["http", "https", "HTTP", "ftp"]),
        st.text("abc.:@[]%0123456789xX-_\u00fc\u3002\uff11\\ /?#", max_size=25),
        st.text(max_size=20),
    ),
)


@settings(max_examples=400)
@given(near_urls)
@example("http://xn--/")
@example("http://\U0001f600/")
@example("http://h/\udcff")
def test_any_text_is_parsed_or_refused_and_a_parsed_url_parses_to_itself(text: str) -> None:
    try:
        url = parse_url(text)
    except InvalidUrlError:
        return
    assert url.text.isascii()
    assert " " not in url.text
    assert parse_url(url.text) == msgspec.structs.replace(url, userinfo=None)
    assert url.text.endswith(url.request_target)


@given(st.ip_addresses(v=4))
def test_every_dotted_quad_is_accepted_as_it_is(address: IPv4Address) -> None:
    assert parse_host(str(address)) == str(address)


@given(st.ip_addresses(v=4).map(int))
def test_no_number_is_an_address(value: int) -> None:
    for text in (str(value), hex(value), f"0{value:o}"):
        with pytest.raises(InvalidUrlError, match="four decimal numbers"):
            parse_host(text)


@pytest.mark.parametrize(
    "url",
    [
        "http://a.example/x",
        "https://a.example:8443/",
        "http://127.0.0.1:81",
        "http://[::1]",
        "https://[2001:db8::1]:1/",
    ],
)
def test_the_host_of_an_origin_is_that_of_its_url(url: str) -> None:
    parsed = parse_url(url)
    assert host_of(parsed.origin) == parsed.host


@pytest.mark.parametrize(
    ("host", "formatted"), [("a.example", "a.example"), ("192.0.2.1", "192.0.2.1"), ("2001:db8::1", "[2001:db8::1]")]
)
def test_an_ipv6_address_is_formatted_with_brackets_and_parsed_without(host: str, formatted: str) -> None:
    assert format_host(host) == formatted
    assert parse_host(formatted) == host


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http://a/", True),
        ("HTTPS://a/", True),
        ("Http://", True),
        ("http:/a", False),
        ("httpx://a", False),
        ("ftp://http://a", False),
        ("", False),
    ],
)
def test_a_scheme_is_recognized_in_any_case(text: str, expected: bool) -> None:
    assert has_http_scheme(text) is expected
