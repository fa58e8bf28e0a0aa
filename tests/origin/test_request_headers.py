"""Header fields of a request: which ones, and to whom."""

import pytest
from support.allowed_urls import allowed_url

from downloadd import __version__
from downloadd.origin.request_headers import build_request_fields, encode_basic, select_user, states_authorization
from downloadd.request_fields import Credentials, Method, RequestFields

FIRST = allowed_url("https://a.example/f")
GIVEN = RequestFields(
    headers=(("X-Key", "k"), ("Accept", "application/zip"), ("Content-Type", "text/plain")),
    cookies=(("sid", "1"), ("theme", "dark")),
    referer="https://a.example/page",
    user_agent="Browser/1",
    auth=Credentials(user="ann", password="pass"),
    method=Method.POST,
    body="x",
)
CONFIGURED = RequestFields(
    headers=(("X-Key", "configured"), ("X-Other", "o")),
    cookies=(("sid", "0"), ("lang", "en")),
    user_agent="Configured/1",
    auth=Credentials(user="conf", password="word"),
)
BY_HOST = {"a.example": CONFIGURED}
USERINFO = allowed_url("https://url:info@a.example/f")
HEADER = RequestFields(headers=(("authorization", "Bearer t"),))


def test_without_fields_there_are_the_defaults_and_the_range() -> None:
    fields = build_request_fields(FIRST, FIRST, range_fields=[("Range", "bytes=1-"), ("If-Range", '"v"')], by_host={})
    assert fields == [
        ("Accept", "*/*"),
        ("Accept-Encoding", "identity"),
        ("User-Agent", f"downloadd/{__version__}"),
        ("Range", "bytes=1-"),
        ("If-Range", '"v"'),
    ]


def test_the_origin_of_the_url_gets_the_fields_of_the_download_over_those_of_the_configuration() -> None:
    for target in (FIRST, allowed_url("https://a.example:443/elsewhere?x=1")):
        fields = build_request_fields(
            target, FIRST, method=Method.POST, given=GIVEN, by_host=BY_HOST, authorization="Digest x"
        )
        assert fields == [
            ("Accept", "application/zip"),
            ("Accept-Encoding", "identity"),
            ("User-Agent", "Browser/1"),
            ("X-Key", "k"),
            ("X-Other", "o"),
            ("Content-Type", "text/plain"),
            ("Referer", "https://a.example/page"),
            ("Authorization", "Digest x"),
            ("Cookie", "sid=1; lang=en; theme=dark"),
        ]


@pytest.mark.parametrize(
    "target",
    [
        "https://b.example/f",
        "http://a.example/f",
        "https://a.example:8443/f",
        "https://sub.a.example/f",
        "https://example/f",
    ],
)
def test_another_origin_gets_nothing_of_the_download(target: str) -> None:
    fields = build_request_fields(allowed_url(target), FIRST, given=GIVEN, by_host={})
    assert [name for name, _ in fields] == ["Accept", "Accept-Encoding", "User-Agent"]
    assert ("User-Agent", f"downloadd/{__version__}") in fields
    assert select_user(allowed_url(target), FIRST, given=GIVEN, by_host={}) is None
    assert not states_authorization(allowed_url(target), FIRST, given=HEADER, by_host={})


@pytest.mark.parametrize(
    ("first", "target", "is_sent"),
    [
        ("http://a.example:81/", "http://a.example:81/f", True),
        ("https://b.example/", "https://a.example/f", True),
        ("http://b.example/", "http://a.example/f", False),
        ("https://b.example/", "https://a.example:8443/f", False),
    ],
    ids=["same origin", "TLS on the default port", "without TLS", "another port"],
)
def test_configured_fields_follow_a_redirect_to_their_host_by_tls_only(first: str, target: str, is_sent: bool) -> None:
    urls = allowed_url(target), allowed_url(first)
    fields = dict(build_request_fields(*urls, by_host=BY_HOST))
    assert (fields.get("X-Key") == "configured") == is_sent
    assert ("Cookie" in fields) is is_sent
    assert select_user(*urls, given=None, by_host=BY_HOST) == (CONFIGURED.auth if is_sent else None)
    assert states_authorization(*urls, given=None, by_host={"a.example": HEADER}) is is_sent


def test_a_body_is_described_only_if_it_is_sent() -> None:
    fields = build_request_fields(FIRST, FIRST, method=Method.GET, given=GIVEN, by_host={})
    assert "Content-Type" not in dict(fields)


def test_cookies_of_responses_replace_given_ones() -> None:
    fields = build_request_fields(
        FIRST, FIRST, given=GIVEN, by_host={}, cookies=[("sid", "new"), ("sid", "2"), ("x", "y")]
    )
    assert dict(fields)["Cookie"] == "theme=dark; sid=new; sid=2; x=y"
    elsewhere = build_request_fields(
        allowed_url("https://b.example/"), FIRST, given=GIVEN, by_host={}, cookies=[("x", "y")]
    )
    assert dict(elsewhere)["Cookie"] == "x=y"


@pytest.mark.parametrize(
    ("first", "given", "configured", "expected"),
    [
        (FIRST, GIVEN, CONFIGURED, "ann"),
        (USERINFO, GIVEN, CONFIGURED, "ann"),
        (USERINFO, None, CONFIGURED, "url"),
        (FIRST, None, CONFIGURED, "conf"),
        (FIRST, RequestFields(referer="https://x/"), CONFIGURED, "conf"),
        (USERINFO, HEADER, CONFIGURED, None),
        (FIRST, None, HEADER, None),
        (USERINFO, None, HEADER, "url"),
    ],
    ids=[
        "request",
        "request, not URL",
        "URL",
        "configuration",
        "configuration too",
        "field",
        "configured field",
        "URL, not configured field",
    ],
)
def test_the_more_specific_user_is_the_one(
    first: object, given: RequestFields | None, configured: RequestFields, expected: str | None
) -> None:
    assert isinstance(first, type(FIRST))
    by_host = {"a.example": configured}
    user = select_user(FIRST, first, given=given, by_host=by_host)
    assert (None if user is None else user.user) == expected
    assert states_authorization(FIRST, first, given=given, by_host=by_host) is (HEADER in {given, configured})


@pytest.mark.parametrize(("authorization", "sent"), [(None, "Bearer t"), ("Digest x", "Digest x")])
def test_an_authorization_replaces_that_of_a_header_field(authorization: str | None, sent: str) -> None:
    fields = build_request_fields(FIRST, FIRST, given=HEADER, by_host={}, authorization=authorization)
    assert [value for name, value in fields if name.lower() == "authorization"] == [sent]


def test_userinfo_of_a_redirect_is_not_used() -> None:
    assert select_user(allowed_url("https://evil:x@b.example/"), FIRST, given=None, by_host={}) is None


def test_users_are_encoded_as_utf_8() -> None:
    # RFC 7617, section 2.1.
    assert encode_basic(Credentials(user="test", password="123£")) == "Basic dGVzdDoxMjPCow=="
