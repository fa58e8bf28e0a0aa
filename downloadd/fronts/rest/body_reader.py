"""Reads the bodies of requests, whole or piece by piece, from clients that send them at a decent pace."""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from aiohttp import HttpVersion11, web
from aiohttp.http_exceptions import HttpProcessingError

from downloadd.errors import BodyTooLargeError, BodyTooSlowError, InvalidParameterError
from downloadd.fronts.rest.schemas import MAX_BODY_BYTES

MAX_WAIT_SECONDS: Final = 60.0
"""Seconds that a client may let us wait for its body."""
MIN_RATE: Final = 1024
"""Bytes that win a client one second of patience back."""


class BodyReader:
    """Reads bodies whose clients let us wait no longer than they may.

    Patience is won back by content, up to where it began: a client that sends nothing is waited for `max_wait` seconds,
    one that sends `min_rate` bytes a second as long as it takes. Frames without content win nothing, and what we do
    between two pieces is not on the client's account.
    """

    def __init__(self, *, max_wait: float = MAX_WAIT_SECONDS, min_rate: int = MIN_RATE) -> None:
        self._max_wait = max_wait
        self._min_rate = min_rate

    async def read_json(self, request: web.BaseRequest) -> bytes:
        """The whole body, which must be said to be JSON.

        Raises:
            InvalidParameterError: it is not, or its framing is broken.
            BodyTooLargeError: it is longer than `MAX_BODY_BYTES`.
            BodyTooSlowError: the client lets us wait too long.
        """
        if request.content_type != "application/json":
            raise InvalidParameterError("Content-Type", "expected application/json")
        if (request.content_length or 0) > MAX_BODY_BYTES:
            raise BodyTooLargeError(MAX_BODY_BYTES)
        body = bytearray()
        async for chunk in self.read_chunks(request):
            body += chunk
            if len(body) > MAX_BODY_BYTES:
                raise BodyTooLargeError(MAX_BODY_BYTES)
        return bytes(body)

    async def read_chunks(self, request: web.BaseRequest) -> AsyncIterator[bytes]:
        """The body as it comes in, of any length.

        Raises:
            InvalidParameterError: its framing is broken.
            BodyTooSlowError: the client lets us wait too long.
        """
        if request.headers.get("Expect") is not None and request.version >= HttpVersion11:
            await _send_continue(request)
        now = asyncio.get_running_loop().time
        remaining = self._max_wait
        while True:
            began = now()
            try:
                async with asyncio.timeout(remaining):
                    chunk = await request.content.readany()
            except TimeoutError:
                raise BodyTooSlowError(self._max_wait, self._min_rate) from None
            except (web.RequestPayloadError, HttpProcessingError):
                raise InvalidParameterError("body", "its framing is broken") from None
            if not chunk:
                return
            remaining = min(self._max_wait, remaining - (now() - began) + len(chunk) / self._min_rate)
            yield chunk


async def _send_continue(request: web.BaseRequest) -> None:
    """Says that the body may come (RFC 9110, section 10.1.1): only now, when nothing speaks against the request."""
    await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    # The interim answer is not the beginning of the answer proper.
    request.writer.output_size = 0
