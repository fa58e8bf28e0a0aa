"""The option `header` and those beside it as request fields."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from downloadd.download_request import RequestFieldParameters
from downloadd.fronts.aria2.errors import RpcError
from downloadd.fronts.aria2.options.header_lines import (
    DEFAULT_USER_AGENT,
    FIELD_OPTIONS,
    IGNORED_NAMES,
    format_fields,
    make_field_parameters,
)
from downloadd.manager.admission import check_request_fields
from downloadd.origin.request_headers import build_request_fields
from downloadd.policy.addresses import AddressRules
from downloadd.policy.domains import DomainRules
from downloadd.policy.policy import Policy
from downloadd.request_fields import Credentials, RequestFields

URL = "https://files.example.com/a?b=c#d"


def parse(url: str = URL, **options: str) -> RequestFields | None:
    parameters = make_field_parameters({name.replace("_", "-"): text for name, text in options.items()}, url)
    return check_request_fields(RequestFieldParameters(**parameters), ())


def message_of(**options: str) -> str:
    with pytest.raises(RpcError) as caught:
        parse(**options)
    return caught.value.message


@pytest.mark.parametrize(
    ("options", "fields"),
    [
        ({}, None),
        ({"header": "\n \n"}, None),
        ({"header": "A: b\nC:d:e"}, RequestFields(headers=(("A", "b"), ("C", "d:e")))),
        ({"header": "Cookie: a=b; c=d"}, RequestFields(cookies=(("a", "b"), ("c", "d")))),
        ({"header": "Cookie: a=b\ncookie: c=d"}, RequestFields(cookies=(("a", "b"), ("c", "d")))),
        ({"header": "X: 1\nx: 2"}, RequestFields(headers=(("X", "1, 2"),))),
        ({"header": "X: 1\nx: 1"}, RequestFields(headers=(("X", "1"),))),
        ({"header": "Referer: a\nReferer: b"}, RequestFields(referer="b")),
        ({"header": "Empty:"}, RequestFields(headers=(("Empty", ""),))),
        ({"user_agent": "x/1"}, RequestFields(user_agent="x/1")),
        ({"user_agent": DEFAULT_USER_AGENT}, None),
        ({"user_agent": "x/1", "header": "User-Agent: y/2"}, RequestFields(user_agent="y/2")),
        ({"referer": "http://a/", "header": "referer: http://b/"}, RequestFields(referer="http://b/")),
        ({"referer": "*"}, RequestFields(referer="https://files.example.com/a?b=c")),
        ({"http_user": "u", "http_passwd": "p"}, RequestFields(auth=Credentials(user="u", password="p"))),
        ({"http_user": "u"}, RequestFields(auth=Credentials(user="u"))),
        ({"http_passwd": "p"}, None),
        (
            {"http_user": "u", "header": "Authorization: Bearer x"},
            RequestFields(headers=(("Authorization", "Bearer x"),)),
        ),
    ],
)
def test_options_become_request_fields(options: dict[str, str], fields: RequestFields | None) -> None:
    assert parse(**options) == fields


def test_a_url_with_secrets_is_no_referer() -> None:
    assert parse("https://u:p@files.example.com/a", referer="*") is None
    assert parse("https://files.example.com/a?token=x", referer="*") is None


@pytest.mark.parametrize("name", sorted(IGNORED_NAMES))
def test_fields_about_the_connection_are_ignored(name: str) -> None:
    assert parse(header=f"{name}: x") is None


@pytest.mark.parametrize(
    ("options", "option", "reason"),
    [
        ({"header": "nocolon"}, "header", "a name, a colon and a value"),
        ({"header": "a b: c"}, "header", "is not one that HTTP can send"),
        ({"header": "Host: x"}, "header", "Host cannot be set"),
        ({"header": "Range: bytes=0-1"}, "header", "Range cannot be set"),
        ({"header": "A: b\rC: d"}, "header", "line break"),
        ({"header": "A: b\x00"}, "header", "control character"),
        ({"referer": "a\nb"}, "referer", "line break"),
        ({"user_agent": "a\nb"}, "user-agent", "line break"),
        ({"http_user": "a:b"}, "http-user", "colon"),
    ],
)
def test_what_cannot_be_sent_is_refused_with_the_option_and_the_reason(
    options: dict[str, str], option: str, reason: str
) -> None:
    message = message_of(**options)
    assert message.startswith(f"We encountered a problem while processing the option '--{option}'. ")
    assert reason in message


def test_the_default_user_agent_is_that_of_the_requests() -> None:
    url = Policy(domains=DomainRules(()), addresses=AddressRules(())).check_url("http://a.example/")
    assert dict(build_request_fields(url, url, by_host={}))["User-Agent"] == DEFAULT_USER_AGENT


WORD = st.text(st.sampled_from("abcXYZ019"), min_size=1, max_size=5)
LINES = st.dictionaries(WORD.map("x-{}".format).map(str.lower), WORD, max_size=3)


@given(LINES, st.dictionaries(WORD, WORD, max_size=2), *([st.none() | WORD] * 4))
def test_reported_fields_are_taken_back(
    headers: dict[str, str],
    cookies: dict[str, str],
    referer: str | None,
    user_agent: str | None,
    user: str | None,
    password: str | None,
) -> None:
    auth: dict[str, Any] = {} if user is None else {"auth": Credentials(user=user, password=password or "")}
    fields = RequestFields(
        headers=tuple(headers.items()), cookies=tuple(cookies.items()), referer=referer, user_agent=user_agent, **auth
    )
    options = dict(format_fields(fields))
    assert options.keys() <= FIELD_OPTIONS
    taken = check_request_fields(RequestFieldParameters(**make_field_parameters(options, URL)), ())
    assert (taken or RequestFields()) == fields


def test_no_fields_have_no_options() -> None:
    assert dict(format_fields(None)) == {}
