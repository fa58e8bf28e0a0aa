"""Client for origins without sockets: a function answers each request."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import cast

import msgspec
from multidict import CIMultiDict

from downloadd.errors import DownloadError, NetworkError
from downloadd.origin.content import Content
from downloadd.origin.context import RequestContext
from downloadd.origin.cookies import CookieJar
from downloadd.policy.policy import Policy
from downloadd.transfer.response_head import parse_response_head
from downloadd.transfer.resume import RangeRequest
from downloadd.transfer.session import EnterOrigin, OriginResponse, Session

NOW = 1_700_000_000.0
"""Unix time of all responses."""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """Response of a scripted origin."""

    status: int = 200
    fields: dict[str, str] = {}
    body: bytes = b""
    cut_after: int | None = None
    """Bytes of the body after which the connection breaks; None for none."""
    error: DownloadError | None = None
    """Raised in place of a response."""


class ScriptedContent:
    """Body of an answer, in pieces; implements what is used of `Content`."""

    def __init__(self, answer: Answer, piece: int) -> None:
        self.expected_length: int | None = None
        self._body = answer.body if answer.cut_after is None else answer.body[: answer.cut_after]
        self._is_cut = answer.cut_after is not None and answer.cut_after < len(answer.body)
        self._piece = piece
        self._position = 0

    @property
    def is_at_end(self) -> bool:
        return self._position >= len(self._body) and not self._is_cut

    async def read(self, limit: int = -1) -> bytes:
        size = self._piece if limit < 0 else min(limit, self._piece)
        data = self._body[self._position : self._position + size]
        self._position += len(data)
        if not data and self._is_cut:
            raise NetworkError("the connection ended before the last byte")
        return data

    def detach(self, *, may_splice: bool) -> None:
        return None

    def check_end(self) -> None:
        pass

    def close(self) -> None:
        pass


class ScriptedSession:
    """Session whose requests a function answers.

    Attributes:
        requests: the requests, in order.
    """

    def __init__(self, answer: Callable[[RangeRequest], Answer], *, piece: int = 64 * 1024) -> None:
        self.requests: list[RangeRequest] = []
        self._answer = answer
        self._piece = piece
        self._policy = Policy()

    @asynccontextmanager
    async def get(
        self, url: str, request: RangeRequest, context: RequestContext | None = None, *, enter_origin: EnterOrigin
    ) -> AsyncIterator[OriginResponse]:
        self.requests.append(request)
        answer = self._answer(request)
        if answer.error is not None:
            raise answer.error
        checked = self._policy.check_url(url)
        yield OriginResponse(
            url=checked,
            requested_url=checked,
            final_url_digest=None,
            head=parse_response_head(answer.status, CIMultiDict(answer.fields), now=NOW),
            content=cast(Content, ScriptedContent(answer, self._piece)),
        )

    def make_cookie_jar(self) -> CookieJar:
        return CookieJar(is_public_suffix=lambda host: "." not in host, now=lambda: NOW)

    def as_session(self) -> Session:
        return cast(Session, self)


class ScriptedFile:
    """Origin of one file, with the habits of real ones.

    Attributes:
        content: the representation; it may be replaced at any time.
        fields: the validators and other fields of its responses.
    """

    def __init__(self, content: bytes, **fields: str) -> None:
        self.content = content
        self.fields = {name.replace("_", "-"): value for name, value in fields.items()}
        self.honours_if_range = True
        self.cut_after: int | None = None

    def answer(self, request: RangeRequest) -> Answer:
        """Return the response to a request, as RFC 9110 describes it."""
        size = len(self.content)
        is_same = request.if_range is None or request.if_range in self.fields.values() or not self.honours_if_range
        if not request.is_range or not is_same:
            fields = {**self.fields, "Content-Length": str(size)}
            return Answer(fields=fields, body=self.content, cut_after=self.cut_after)
        if request.start >= size:
            return Answer(status=416, fields={"Content-Range": f"bytes */{size}"})
        end = min(size, size if request.end is None else request.end)
        body = self.content[request.start : end]
        content_range = f"bytes {request.start}-{end - 1}/{size}"
        fields = {**self.fields, "Content-Length": str(len(body)), "Content-Range": content_range}
        # Samples are short enough to arrive.
        return Answer(status=206, fields=fields, body=body, cut_after=None if request.end else self.cut_after)
