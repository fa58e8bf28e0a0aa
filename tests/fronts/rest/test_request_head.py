"""Checks of the head of a request, whatever its path."""

import pytest
from aiohttp import HttpVersion, HttpVersion10, HttpVersion11
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict

from downloadd.errors import DownloadError, HostNotAllowedError, HttpVersionNotSupportedError, InvalidParameterError
from downloadd.fronts.rest.request_context import REQUESTED_VERSION, RequestContext
from downloadd.fronts.rest.request_guards import AllowedHosts
from downloadd.fronts.rest.request_head import require_valid_head
from downloadd.fronts.rest.target import parse_target
from downloadd.policy.proxies import Client

HOSTS = AllowedHosts((), ("api.example",))


def context(*fields: tuple[str, str], version: HttpVersion = HttpVersion11, target: str = "/") -> RequestContext:
    request = make_mocked_request("GET", "/", headers=CIMultiDict(fields), version=version)
    return RequestContext(request, parse_target(target), Client(address="192.0.2.1"), "r1")


@pytest.mark.parametrize(
    ("fields", "version"),
    [
        ((("Host", "api.example"),), HttpVersion11),
        ((("Host", "api.example"), ("Expect", "100-Continue")), HttpVersion11),
        ((), HttpVersion10),
    ],
)
def test_a_valid_head_passes(fields: tuple[tuple[str, str], ...], version: HttpVersion) -> None:
    require_valid_head(context(*fields, version=version), HOSTS)


@pytest.mark.parametrize(
    ("fields", "target", "error"),
    [
        ((), "/", InvalidParameterError),
        ((("Host", "api.example"), ("Host", "api.example")), "/", InvalidParameterError),
        ((("Host", "other.example"),), "/", HostNotAllowedError),
        ((("Host", "api.example"),), "http://other.example/", HostNotAllowedError),
        ((("Host", "api.example"), ("Expect", "200-maybe")), "/", InvalidParameterError),
    ],
)
def test_a_wrong_head_is_refused(fields: tuple[tuple[str, str], ...], target: str, error: type[DownloadError]) -> None:
    with pytest.raises(error):
        require_valid_head(context(*fields, target=target), HOSTS)


def test_another_major_version_is_refused() -> None:
    one = context(("Host", "api.example"))
    one.request[REQUESTED_VERSION] = HttpVersion(2, 0)
    with pytest.raises(HttpVersionNotSupportedError):
        require_valid_head(one, HOSTS)
