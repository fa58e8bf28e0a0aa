"""Heads of requests."""

import pytest
from support.allowed_urls import allowed_url

from downloadd.origin.request_head import encode_request_head


@pytest.mark.parametrize(
    ("url", "host", "target"),
    [
        ("http://files.example/a%2Fb?c=%20", b"files.example", b"/a%2Fb?c=%20"),
        ("http://files.example:80/", b"files.example", b"/"),
        ("https://files.example:443/", b"files.example", b"/"),
        ("https://files.example:8443/?", b"files.example:8443", b"/?"),
        ("http://user:secret@[2001:DB8::1]:81/x", b"[2001:db8::1]:81", b"/x"),
    ],
)
def test_the_host_is_that_of_the_url_and_the_target_is_sent_unchanged(url: str, host: bytes, target: bytes) -> None:
    head = encode_request_head(allowed_url(url), [("Accept", "*/*")], method="GET", via_proxy=False)
    assert head == b"GET %s HTTP/1.1\r\nHost: %s\r\nAccept: */*\r\n\r\n" % (target, host)


def test_a_proxy_gets_the_absolute_form_without_userinfo() -> None:
    head = encode_request_head(allowed_url("http://u:p@a.example/x?y"), [], method="GET", via_proxy=True)
    assert head == b"GET http://a.example/x?y HTTP/1.1\r\nHost: a.example\r\n\r\n"


def test_octets_of_a_validator_are_sent_as_they_were_received() -> None:
    tag = b'"\xff\xc3\xa4"'.decode(errors="surrogateescape")
    head = encode_request_head(allowed_url("http://a.example/"), [("If-Range", tag)], method="GET", via_proxy=False)
    assert b'If-Range: "\xff\xc3\xa4"\r\n' in head


@pytest.mark.parametrize(
    ("name", "value"),
    [*(("X", value) for value in ("a\r\nY: b", "a\nb", "a\0")), *((name, "a") for name in ("X\r\nY", "X Y", "", "X:"))],
)
def test_no_field_can_begin_another_line(name: str, value: str) -> None:
    with pytest.raises(ValueError, match=r"line break|token"):
        encode_request_head(allowed_url("http://a.example/"), [(name, value)], method="GET", via_proxy=False)
