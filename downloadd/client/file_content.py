"""Content of a finished file, or of the rest of it, while it is received."""

import re
from collections.abc import AsyncIterator
from typing import Final

import aiohttp

from downloadd.client.connection import ConnectionLostError, InvalidResponseError

_CHUNK_BYTES: Final = 1 << 18
_CONTENT_RANGE: Final = re.compile(r"bytes ([0-9]+)-[0-9]+/([0-9]+)")


class FileContent:
    """Content of a finished file.

    Attributes:
        start: position of the first byte; 0 if the file was replaced since the part that the caller has.
        size: bytes of the whole file.
        entity_tag: value for `if_range` of a later call, which continues.
    """

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        """Take a response with content.

        Raises:
            InvalidResponseError: Its fields contradict each other.
        """
        self._response = response
        self.entity_tag = response.headers.get("ETag", "")
        found = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
        if response.status != 206:
            self.start, self.size = 0, response.content_length or 0
        elif found is not None:
            self.start, self.size = int(found[1]), int(found[2])
        else:
            raise InvalidResponseError("the answer is not that of downloadd: Content-Range is missing")

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield the content from `start` on.

        Raises:
            ConnectionLostError: The connection broke; a later call can continue.
        """
        received = self.start
        async for piece in self._response.content.iter_chunked(_CHUNK_BYTES):
            received += len(piece)
            yield piece
        if received != self.size:
            raise ConnectionLostError(f"the answer ended after {received} of {self.size} bytes")
