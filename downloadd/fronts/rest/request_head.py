"""Checks of the head of a request that hold for every path, whatever the route.

Its HTTP version, its host, and what it expects.
"""

from typing import Final

from aiohttp import HttpVersion11

from downloadd.errors import HttpVersionNotSupportedError, InvalidParameterError
from downloadd.fronts.rest.request_context import REQUESTED_VERSION, RequestContext
from downloadd.fronts.rest.request_guards import AllowedHosts

EXPECTATION: Final = "100-continue"
"""The only expectation that RFC 9110, section 10.1.1 defines."""


def require_valid_head(context: RequestContext, allowed: AllowedHosts) -> None:
    """Return if version, host and expectation of a request can be met.

    Raises:
        HttpVersionNotSupportedError: the request has another major version of HTTP.
        InvalidParameterError: `Host` or `Expect` is wrong.
        HostNotAllowedError: a host names another server.
    """
    request = context.request
    version = request.get(REQUESTED_VERSION)
    if version is not None:
        raise HttpVersionNotSupportedError(f"{version.major}.{version.minor}")
    hosts = request.headers.getall("Host", ())
    # RFC 9112, section 3.2: HTTP/1.1 requires exactly one.
    if len(hosts) != 1 and not (not hosts and request.version < HttpVersion11):
        raise InvalidParameterError("Host", "expected one Host field")
    allowed.require_all(request.headers, context.client, context.target.authority)
    if request.headers.get("Expect", EXPECTATION).lower() != EXPECTATION:
        raise InvalidParameterError("Expect", f"only {EXPECTATION} can be met")
