"""Request fields: what can be sent, and that no message and no representation has a value."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.pretty import pretty_repr

from downloadd.errors import InvalidParameterError
from downloadd.request_fields import (
    MAX_BODY_BYTES,
    MAX_COOKIES,
    MAX_FIELD_BYTES,
    MAX_HEADERS,
    REFUSED_NAMES,
    Credentials,
    Method,
    RequestFields,
    parse_request_fields,
    split_cookies,
)

SECRET = "hush4711"


def problem(**fields: Any) -> str:
    """Return the detail of a refusal."""
    with pytest.raises(InvalidParameterError) as caught:
        parse_request_fields(**fields)
    assert SECRET not in caught.value.detail
    return caught.value.detail


def test_nothing_given_is_nothing() -> None:
    assert parse_request_fields() is None
    assert parse_request_fields(referer="", headers=(), cookies=()) is None


def test_all_fields_are_kept() -> None:
    fields = RequestFields(
        headers=(("X-Api-Key", "k"), ("Content-Type", "text/plain")),
        cookies=(("sid", "1"),),
        referer="https://example.com/page",
        user_agent="Browser/1",
        auth=Credentials(user="ann", password="p"),
        proxy="office",
        method=Method.POST,
        body="a=1",
    )
    assert parse_request_fields(**msgspec.structs.asdict(fields)) == fields
    assert parse_request_fields(**{**fields.to_parameters(), "headers": fields.headers, "cookies": fields.cookies}) == (
        fields
    )


def test_cookie_referer_and_user_agent_may_be_header_fields() -> None:
    headers = [("cookie", " a=1; b=x=y;c "), ("REFERER", "https://e.com/"), ("User-Agent", "B"), ("Accept", " a/b\t")]
    assert parse_request_fields(headers=headers) == RequestFields(
        headers=(("Accept", "a/b"),),
        cookies=(("a", "1"), ("b", "x=y"), ("c", "")),
        referer="https://e.com/",
        user_agent="B",
    )


@pytest.mark.parametrize(
    "fields",
    [
        {"headers": [("Cookie", "a=1"), ("cookie", "b=1")]},
        {"headers": [("Cookie", "a=1")], "cookies": [("b", "1")]},
        {"headers": [("Referer", "https://a/")], "referer": "https://b/"},
        {"headers": [("X-A", SECRET), ("x-a", SECRET)]},
    ],
)
def test_a_field_is_given_once(fields: dict[str, Any]) -> None:
    assert "is given twice" in problem(**fields)


@pytest.mark.parametrize(
    "name",
    [
        *REFUSED_NAMES,
        *("Host", "Content-Length", "Transfer-Encoding", "Connection", "Keep-Alive", "TE", "Trailer", "Upgrade"),
        *("Proxy-Authorization", "proxy-connection", "Range", "If-Range", "Accept-Encoding", "Expect"),
    ],
)
def test_fields_of_the_connection_and_of_the_transfer_are_refused_with_the_reason(name: str) -> None:
    detail = problem(headers=[("X-A", "1"), (name, SECRET)])
    assert detail.startswith(f"headers: {name} cannot be set: ")


@pytest.mark.parametrize("name", ["", " ", f"Bearer {SECRET}", "a:b", "a\r\nb", "é", "a\x00"])
def test_a_name_must_be_a_token(name: str) -> None:
    assert problem(headers=[(name, "v")]) == (
        "headers: the name of header field number 1 is not one that HTTP can send"
    )


@pytest.mark.parametrize("character", ["\r", "\n", "\x00", "\x0b", "\x1f", "\x7f", "\ud800"])
def test_no_line_break_or_control_character_is_sent(character: str) -> None:
    text = f"{SECRET}{character}x"
    assert problem(headers=[("X-A", text)]).startswith("headers: the value of header field X-A holds a line break")
    assert problem(cookies=[("a", text)]).startswith("cookies: the value of cookie number 1")
    assert problem(cookies=[(text, "a")]).startswith("cookies: the name of cookie number 1")
    assert problem(referer=text).startswith("referer: ")
    assert problem(user_agent=text).startswith("user_agent: ")
    assert problem(auth=Credentials(user=text)).startswith("auth: user ")
    assert problem(auth=Credentials(user="u", password=text)).startswith("auth: password ")


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"cookies": [("", "x")]}, "cookies: the name of cookie number 1"),
        ({"cookies": [("a", "1; b=2")]}, "cookies: the value of cookie number 1"),
        ({"referer": "see here"}, "referer: holds a space"),
        ({"auth": Credentials(user="a:b")}, "auth: user may not hold a colon"),
        ({"auth": Credentials(user="")}, "auth: user may not be empty"),
        (
            {"auth": Credentials(user="a"), "headers": [("authorization", SECRET)]},
            "auth: is given beside the header field Authorization; only one of them can be sent",
        ),
        ({"body": SECRET}, "body: is given without the method POST"),
        ({"body": "\udc80", "method": Method.POST}, "body: holds half of a surrogate pair"),
        ({"body": "ü" * (MAX_BODY_BYTES // 2 + 1), "method": Method.POST}, "body: is longer than 1024 KiB"),
        ({"headers": [(f"X-{n}", "") for n in range(MAX_HEADERS + 1)]}, "headers: expected at most 100"),
        ({"cookies": [(f"c{n}", "") for n in range(MAX_COOKIES + 1)]}, "cookies: expected at most 100"),
        ({"headers": [("X-A", "x" * MAX_FIELD_BYTES)]}, "headers: all header fields and cookies together"),
        ({"cookies": [("a", "x" * (MAX_FIELD_BYTES // 2))] * 2}, "headers: all header fields and cookies together"),
    ],
)
def test_what_cannot_be_sent_is_refused(fields: dict[str, Any], expected: str) -> None:
    assert problem(**fields).startswith(expected)


def test_limits_include_their_ends() -> None:
    fields = parse_request_fields(
        headers=[(f"X{n:02}", "v") for n in range(MAX_HEADERS)],
        cookies=[("c", "x" * (MAX_FIELD_BYTES - 4 * MAX_HEADERS - 1))],
        method=Method.POST,
        body="x" * MAX_BODY_BYTES,
    )
    assert fields is not None
    assert len(fields.headers) == MAX_HEADERS


def test_no_representation_has_a_value() -> None:
    secret = Credentials(user=f"u{SECRET}", password=SECRET)
    fields = RequestFields(
        headers=((SECRET, SECRET),),
        cookies=((SECRET, SECRET),),
        referer=SECRET,
        user_agent=SECRET,
        auth=secret,
        proxy="office",
        method=Method.POST,
        body=SECRET,
    )
    shown = f"{fields!r} {fields} {secret!r} {pretty_repr(fields)} {pretty_repr(secret)}"
    assert SECRET not in shown
    assert "RequestFields(headers, cookies, referer, user_agent, auth, proxy, method, body)" in shown
    assert repr(RequestFields(auth=secret)) == "RequestFields(auth)"


def test_only_the_proxy_applies_to_other_origins() -> None:
    fields = RequestFields(headers=(("A", "b"),), proxy="office", method=Method.POST, body="x")
    assert fields.for_other_origin() == RequestFields(proxy="office")
    assert fields.is_secret
    assert not RequestFields(proxy="office").is_secret
    assert RequestFields(user_agent="x").for_other_origin() is None


TEXTS = st.text(st.characters(), max_size=20)
PAIRS = st.lists(st.tuples(TEXTS, TEXTS), max_size=5)


@given(headers=PAIRS, cookies=PAIRS, referer=TEXTS, user_agent=TEXTS, user=TEXTS, password=TEXTS)
def test_accepted_fields_fit_on_one_line_each(
    headers: list[tuple[str, str]],
    cookies: list[tuple[str, str]],
    referer: str,
    user_agent: str,
    user: str,
    password: str,
) -> None:
    try:
        fields = parse_request_fields(
            headers=headers,
            cookies=cookies,
            referer=referer,
            user_agent=user_agent,
            auth=Credentials(user=user, password=password),
        )
    except InvalidParameterError as error:
        error.detail.encode()
        return
    assert fields is not None
    assert fields.auth is not None
    texts = [*(text for pair in (*fields.headers, *fields.cookies) for text in pair), fields.auth.user]
    for text in (*texts, fields.referer or "", fields.user_agent or "", fields.auth.password):
        assert not {"\r", "\n", "\x00"} & set(text)
        text.encode()


@given(st.lists(st.tuples(st.from_regex(r"[a-z]{1,5}", fullmatch=True), st.from_regex(r"[a-z=]{0,5}", fullmatch=True))))
def test_a_cookie_field_is_split_into_its_cookies(cookies: list[tuple[str, str]]) -> None:
    assert split_cookies("; ".join(f"{name}={value}" for name, value in cookies)) == tuple(cookies)
