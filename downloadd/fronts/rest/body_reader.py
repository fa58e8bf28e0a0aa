"""Reader of request bodies, with a limit on slow clients."""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from aiohttp import HttpVersion11, web
from aiohttp.http_exceptions import HttpProcessingError

from downloadd.errors import BodyTooLargeError, BodyTooSlowError, InvalidParameterError
from downloadd.fronts.rest.schemas import MAX_BODY_BYTES

MAX_WAIT_SECONDS: Final = 60.0
"""Seconds without content after which a client is too slow."""
MIN_RATE: Final = 1024
"""Bytes a second that a client has to send on average."""


class BodyReader:
    """Reads bodies, and refuses clients that send them too slowly.

    A client has `max_wait` seconds; each `min_rate` bytes of content give one second back, up to `max_wait`. A client
    that sends at that rate is read to the end. Frames without content give nothing back, and the time between two
    reads is not counted.
    """

    def __init__(self, *, max_wait: float = MAX_WAIT_SECONDS, min_rate: int = MIN_RATE) -> None:
        self._max_wait = max_wait
        self._min_rate = min_rate

    async def read_json(self, request: web.BaseRequest) -> bytes:
        """Return the whole body of a request with the media type of JSON.

        Raises:
            InvalidParameterError: the media type is another one, or the framing is malformed.
            BodyTooLargeError: the body is longer than `MAX_BODY_BYTES`.
            BodyTooSlowError: the client is too slow.
        """
        if request.content_type != "application/json":
            raise InvalidParameterError("Content-Type", "expected application/json")
        body = bytearray()
        async for chunk in self.read_limited(request):
            body += chunk
        return bytes(body)

    async def read_limited(self, request: web.BaseRequest) -> AsyncIterator[bytes]:
        """Yield the body in chunks as they are received.

        Raises:
            InvalidParameterError: the framing is malformed.
            BodyTooLargeError: the body is longer than `MAX_BODY_BYTES`; if its length is announced, before the rest.
            BodyTooSlowError: the client is too slow.
        """
        if (request.content_length or 0) > MAX_BODY_BYTES:
            raise BodyTooLargeError(MAX_BODY_BYTES)
        received = 0
        async for chunk in self.read_chunks(request):
            received += len(chunk)
            if received > MAX_BODY_BYTES:
                raise BodyTooLargeError(MAX_BODY_BYTES)
            yield chunk

    async def read_chunks(self, request: web.BaseRequest) -> AsyncIterator[bytes]:
        """Yield the body in chunks as they are received; it may have any length.

        Raises:
            InvalidParameterError: the framing is malformed.
            BodyTooSlowError: the client is too slow.
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
                raise InvalidParameterError("body", "its framing is malformed") from None
            if not chunk:
                return
            remaining = min(self._max_wait, remaining - (now() - began) + len(chunk) / self._min_rate)
            yield chunk


async def _send_continue(request: web.BaseRequest) -> None:
    """Ask for the body (RFC 9110, section 10.1.1), after all checks that can be made without it."""
    await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    # aiohttp must not take the interim response for the start of the final one.
    request.writer.output_size = 0
