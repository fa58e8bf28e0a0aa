"""Response of `getImportFileData`, which is sent in pieces, so that memory does not grow with the number of users."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import TypeVar

import msgspec
from aiohttp import web

from downloadd.fronts.rest.request_context import RequestContext
from downloadd.fronts.rest.responses import COMMON_FIELDS, encode
from downloadd.fronts.rocketchat.translation import make_channel_entry, make_user_entry
from downloadd.imports.selection import FileData

T = TypeVar("T")


async def send_file_data(context: RequestContext, data: FileData) -> web.StreamResponse:
    """Send the content of an import file, as `FileDataResponse` describes it.

    Raises:
        DownloadError: the records cannot be read, before anything was sent. Later, the connection is aborted.
    """
    pieces = encode_file_data(data)
    first = await anext(pieces)
    response = web.StreamResponse(headers=COMMON_FIELDS)
    response.content_type = "application/json"
    response.headers["X-Request-Id"] = context.request_id
    try:
        await response.prepare(context.request)
        await response.write(first)
        async for piece in pieces:
            await response.write(piece)
        await response.write_eof()
    except BaseException:
        # The client must not take a part for the whole.
        if context.request.transport is not None:
            context.request.transport.abort()
        raise
    return response


async def encode_file_data(data: FileData) -> AsyncIterator[bytes]:
    """Yield the JSON of the content of an import file; the first piece is not sent before its page was read."""
    head = b'{"users":['
    async for piece in _encode_pages(data.users(), make_user_entry):
        yield head + piece
        head = b""
    head += b'],"channels":['
    async for piece in _encode_pages(data.channels(), make_channel_entry):
        yield head + piece
        head = b""
    yield head + b'],"message_count":%d,"success":true}' % data.message_count


async def _encode_pages(
    pages: AsyncIterator[Sequence[tuple[T, bool]]], make_entry: Callable[[T, bool], msgspec.Struct]
) -> AsyncIterator[bytes]:
    comma = b""
    async for page in pages:
        # Encoding thousands of entries would block the event loop.
        body = await asyncio.to_thread(_encode_page, page, make_entry)
        yield comma + body[1:-1]
        comma = b","


def _encode_page(page: Sequence[tuple[T, bool]], make_entry: Callable[[T, bool], msgspec.Struct]) -> bytes:
    return encode([make_entry(value, is_selected) for value, is_selected in page])
