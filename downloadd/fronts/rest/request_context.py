"""One request on its way through the API: what was asked, by whom, and what the access log shall say of it."""

from typing import Final

from aiohttp import HttpVersion, web

from downloadd.fronts.rest.target import Query, Target
from downloadd.policy.proxies import Client
from downloadd.users import User

REQUESTED_VERSION: Final = web.RequestKey("requested_version", HttpVersion)
"""The version of HTTP that a request is made in, where it is none that is spoken here."""

ANONYMOUS: Final = User(id="", permissions=frozenset())


class RequestContext:
    """A request with its target read and its user known.

    Attributes:
        client: who asks, behind the proxies that are trusted.
        request_id: of the answer's `X-Request-Id`, and of every log line.
        id: what stands for the placeholder of the path, "" where it has none.
        download_id: the download that the answer is about, for the access log.
        redacted_url: its URL without credentials, for the access log.
    """

    __slots__ = ("client", "download_id", "id", "redacted_url", "request", "request_id", "target", "user")

    def __init__(self, request: web.BaseRequest, target: Target, client: Client, request_id: str) -> None:
        self.request = request
        self.target = target
        self.client = client
        self.request_id = request_id
        self.user = ANONYMOUS
        self.id = ""
        self.download_id: str | None = None
        self.redacted_url: str | None = None

    @property
    def query(self) -> Query:
        """The query, split."""
        return self.target.query
