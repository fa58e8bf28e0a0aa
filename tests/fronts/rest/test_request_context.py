"""State of one request."""

from aiohttp.test_utils import make_mocked_request

from downloadd.fronts.rest.request_context import ANONYMOUS, RequestContext
from downloadd.fronts.rest.target import parse_target
from downloadd.policy.proxies import Client
from downloadd.users import Permission


def test_a_request_begins_without_a_user_and_a_download() -> None:
    target = parse_target("/d?download=x")
    context = RequestContext(make_mocked_request("GET", "/d?download=x"), target, Client(address="::1"), "r1")
    assert (context.user, context.id, context.download_id, context.redacted_url) == (ANONYMOUS, "", None, None)
    assert context.query is target.query
    assert (context.counted_status, dict(context.log_fields), dict(context.response_fields)) == (None, {}, {})


def test_the_anonymous_user_has_no_permission() -> None:
    assert not any(ANONYMOUS.has_permission(permission) for permission in Permission)
