"""State that the requests of one attempt share."""

import msgspec
import pytest
from support.cookie_jars import make_jar

from downloadd.attempt_options import NO_OPTIONS, AttemptOptions
from downloadd.origin.context import RequestContext
from downloadd.request_fields import RequestFields


def test_the_contexts_of_two_sources_share_the_cookies_but_not_the_fields() -> None:
    first = RequestContext(fields=RequestFields(referer="https://a.example/"), cookies=make_jar())
    other = msgspec.structs.replace(first, fields=None)
    assert other.cookies is first.cookies
    assert other.fields is None


def test_a_download_without_options_has_those_of_the_configuration() -> None:
    assert RequestContext(fields=None, cookies=make_jar()).options is NO_OPTIONS
    options = AttemptOptions(stall_timeout=3)
    assert RequestContext(fields=None, cookies=make_jar(), options=options).options == options


def test_fields_and_cookies_cannot_be_forgotten_and_do_not_change() -> None:
    with pytest.raises(TypeError, match="cookies"):
        RequestContext(fields=None)  # type: ignore[call-arg]
    context = RequestContext(fields=None, cookies=make_jar())
    with pytest.raises(AttributeError, match="immutable"):
        context.cookies = make_jar()  # type: ignore[misc]
