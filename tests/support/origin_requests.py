"""Requests to origins, and their limits."""

from typing import Final

from support.allowed_urls import allowed_url

from downloadd.origin.exchange import OriginRequest
from downloadd.origin.timeouts import Timeouts
from downloadd.request_fields import Method

TIMEOUTS: Final = Timeouts(connect=5, stall=5)
"""Limits for origins that answer."""


def get_request(url: str, *fields: tuple[str, str]) -> OriginRequest:
    """Return a request for a representation."""
    return OriginRequest(method=Method.GET, url=allowed_url(url), fields=list(fields), body=None, proxy=None)


def post_request(url: str, body: bytes | None) -> OriginRequest:
    """Return a request with a body."""
    return OriginRequest(method=Method.POST, url=allowed_url(url), fields=[], body=body, proxy=None)
