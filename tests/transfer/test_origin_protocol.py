"""Connection to an origin: the result must not depend on the division of its bytes into packets."""

import asyncio
from itertools import pairwise
from typing import Any
from unittest.mock import Mock

import pytest
from hypothesis import given
from hypothesis import strategies as st
from security.malformed_responses import MALFORMED_RESPONSES

from downloadd.transfer.origin_protocol import OriginProtocol

SHORT = {name: case for name, case in MALFORMED_RESPONSES.items() if len(case.raw) < 2_000}


async def parsed_response(pieces: list[bytes]) -> Any:
    """Return status and content, or "refused"."""
    protocol = OriginProtocol(asyncio.get_running_loop())
    protocol.connection_made(Mock(asyncio.Transport))
    protocol.set_response_params(read_until_eof=True, auto_decompress=False)
    for piece in pieces:
        protocol.data_received(piece)
    if protocol._content is None:
        return "refused"
    protocol.eof_received()
    status, content = 0, protocol._content
    while status < 200 and status != 101:
        message, content = await protocol.read()
        status = message.code
    protocol.connection_lost(None)
    data = b""
    while content.exception() is None and (piece := content.read_nowait(-1)):
        data += piece
    return (status, data) if content.exception() is None else "refused"


@pytest.mark.parametrize("name", SHORT)
async def test_one_byte_at_a_time_has_the_same_result(name: str) -> None:
    raw, outcome = SHORT[name].raw, SHORT[name].outcome
    at_once = await parsed_response([raw])
    assert await parsed_response([raw[position : position + 1] for position in range(len(raw))]) == at_once
    if isinstance(outcome, bytes):
        assert at_once[1] == outcome


@given(st.sampled_from(sorted(SHORT)), st.lists(st.integers(1, 300), max_size=6))
def test_any_packets_have_the_same_result(name: str, cuts: list[int]) -> None:
    raw = SHORT[name].raw
    at = sorted({0, *(min(cut, len(raw)) for cut in cuts), len(raw)})

    async def both() -> None:
        assert await parsed_response([raw[begin:end] for begin, end in pairwise(at)]) == await parsed_response([raw])

    asyncio.run(both())
