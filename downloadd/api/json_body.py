"""Reads JSON bodies of requests."""

from typing import TypeVar

import msgspec
from aiohttp import HttpVersion11, web
from aiohttp.http_exceptions import HttpProcessingError

from downloadd.api.bodies import MAX_BODY, explain
from downloadd.errors import BodyTooLargeError, InvalidParameterError

T = TypeVar("T")


async def read_body(request: web.BaseRequest) -> bytes:
    """The whole body.

    Raises:
        InvalidParameterError: it is not said to be JSON, or its framing or coding is broken.
        BodyTooLargeError: it is longer than `MAX_BODY`.
    """
    if request.content_type != "application/json":
        raise InvalidParameterError("Content-Type", "expected application/json")
    if (request.content_length or 0) > MAX_BODY:
        raise BodyTooLargeError(MAX_BODY)
    try:
        if request.headers.get("Expect") is not None and request.version >= HttpVersion11:
            await _welcome(request)
        return await request.read()
    except web.HTTPRequestEntityTooLarge:
        raise BodyTooLargeError(MAX_BODY) from None
    except (web.RequestPayloadError, HttpProcessingError):
        raise InvalidParameterError("body", "its framing or its content coding is broken") from None


def decode_body(body: bytes, type: type[T]) -> T:
    """The struct that a body means.

    Raises:
        InvalidParameterError: it is no JSON in UTF-8, or not of that shape; the sentence has the JSON path.
    """
    try:
        return msgspec.json.decode(body, type=type)
    except msgspec.ValidationError as error:
        raise explain(error) from None
    except UnicodeDecodeError:
        raise InvalidParameterError("body", "expected JSON in UTF-8") from None
    except msgspec.DecodeError as error:
        raise InvalidParameterError("body", f"expected JSON: {error}") from None
    except RecursionError:
        raise InvalidParameterError("body", "nested too deep") from None


async def _welcome(request: web.BaseRequest) -> None:
    """Says that the body may come (RFC 9110, section 10.1.1): only now, when nothing speaks against the request."""
    await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    # The interim answer is not the beginning of the answer proper.
    request.writer.output_size = 0
