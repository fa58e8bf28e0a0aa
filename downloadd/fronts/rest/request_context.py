"""State of one request while it is handled: target, user, and fields for the access log."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from aiohttp import HttpVersion, web

from downloadd.fronts.rest.target import Query, Target
from downloadd.policy.proxies import Client
from downloadd.users import User

REQUESTED_VERSION: Final = web.RequestKey("requested_version", HttpVersion)
"""The HTTP version of a request, if it is not supported."""

ANONYMOUS: Final = User(id="", permissions=frozenset())
"""The user of a request that is not authenticated."""


class RequestContext:
    """A request with its parsed target and its user.

    Attributes:
        client: the client behind the trusted proxies.
        request_id: the value of `X-Request-Id` in the response, and of `request_id` in log lines.
        id: the value of the placeholder in the path, "" without one.
        download_id: the id of the download that the response describes, for the access log.
        redacted_url: its URL without credentials, for the access log.
        log_fields: further fields of the line in the access log.
        response_fields: further header fields of the response, also of one to an error.
        counted_status: the status for the access log and the metrics, where a protocol demands a status that says less.
    """

    __slots__ = (
        "client",
        "counted_status",
        "download_id",
        "id",
        "log_fields",
        "redacted_url",
        "request",
        "request_id",
        "response_fields",
        "target",
        "user",
    )

    def __init__(self, request: web.BaseRequest, target: Target, client: Client, request_id: str) -> None:
        self.request = request
        self.target = target
        self.client = client
        self.request_id = request_id
        self.user = ANONYMOUS
        self.id = ""
        self.download_id: str | None = None
        self.redacted_url: str | None = None
        self.log_fields: Mapping[str, object] = MappingProxyType({})
        self.response_fields: Mapping[str, str] = MappingProxyType({})
        self.counted_status: int | None = None

    @property
    def query(self) -> Query:
        """Return the parsed query."""
        return self.target.query
