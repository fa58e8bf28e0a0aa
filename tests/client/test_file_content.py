"""Content of files, from the fields of a response."""

from types import SimpleNamespace
from typing import Any, cast

import aiohttp
import pytest

from downloadd.client import ConnectionLostError, FileContent, InvalidResponseError


class Stream:
    """Content of a response, in pieces of a test."""

    def __init__(self, *pieces: bytes) -> None:
        self._pieces = pieces

    async def iter_chunked(self, nbytes: int) -> Any:
        for piece in self._pieces:
            yield piece


def response(status: int, *pieces: bytes, length: int = 0, **fields: str) -> aiohttp.ClientResponse:
    headers = {name.replace("_", "-"): value for name, value in fields.items()}
    made = SimpleNamespace(status=status, headers=headers, content_length=length, content=Stream(*pieces))
    return cast("aiohttp.ClientResponse", made)


async def test_a_range_says_where_it_begins() -> None:
    content = FileContent(response(206, b"ab", b"c", Content_Range="bytes 7-9/10", ETag='"x"'))
    assert (content.start, content.size, content.entity_tag) == (7, 10, '"x"')
    assert [piece async for piece in content.pieces()] == [b"ab", b"c"]


async def test_an_answer_that_ends_early_is_not_taken_for_the_file() -> None:
    content = FileContent(response(200, b"ab", length=3))
    with pytest.raises(ConnectionLostError):
        _ = [piece async for piece in content.pieces()]


def test_a_range_without_its_field_is_of_another_program() -> None:
    with pytest.raises(InvalidResponseError):
        FileContent(response(206, length=3))
