"""State of one request."""

import asyncio
from typing import Any

import pytest
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


class SocketOnly(asyncio.Transport):
    """Transport that only knows the name of its socket."""

    def __init__(self, name: Any) -> None:
        super().__init__()
        self._name = name

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._name if name == "sockname" else default


@pytest.mark.parametrize(
    ("name", "address"),
    [
        (("192.0.2.1", 8080), "192.0.2.1:8080"),
        (("2001:db8::1", 8080, 0, 0), "[2001:db8::1]:8080"),
        (("::ffff:192.0.2.1", 8080, 0, 0), "192.0.2.1:8080"),
        ("/run/downloadd.sock", ""),
        (None, ""),
    ],
)
def test_the_local_address_is_that_of_the_socket(name: Any, address: str) -> None:
    request = make_mocked_request("GET", "/", transport=SocketOnly(name))
    context = RequestContext(request, parse_target("/"), Client(address="::1"), "r1")
    assert context.local_address() == address


def test_the_anonymous_user_has_no_permission() -> None:
    assert not any(ANONYMOUS.has_permission(permission) for permission in Permission)
