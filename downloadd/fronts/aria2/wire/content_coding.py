"""Compression of answers, for clients that ask for it."""

import asyncio
import gzip
from typing import Final

MAX_SYNCHRONOUS_BYTES: Final = 64 * 1024
"""Bytes that are compressed on the event loop; more take longer than a thread costs."""

_LEVEL: Final = 1
"""The fastest; JSON of downloads shrinks to a tenth all the same."""


def accepts_gzip(accept_encoding: str) -> bool:
    """Return True if the value of `Accept-Encoding` allows gzip (RFC 9110, section 12.5.3)."""
    for part in accept_encoding.lower().split(","):
        coding, _, weight = part.partition(";")
        if coding.strip() in {"gzip", "x-gzip"}:
            return weight.replace(" ", "") not in {"q=0", "q=0.0", "q=0.00", "q=0.000"}
    return False


async def compress(body: bytes) -> bytes:
    """Return the bytes in the format of gzip, without a time."""
    if len(body) <= MAX_SYNCHRONOUS_BYTES:
        return _compress(body)
    return await asyncio.to_thread(_compress, body)


def _compress(body: bytes) -> bytes:
    return gzip.compress(body, compresslevel=_LEVEL, mtime=0)
