"""Decoding of JSON bodies."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from downloadd.errors import InvalidParameterError
from downloadd.fronts.rest.item_bodies import AmendBody
from downloadd.fronts.rest.json_body import decode_body


def test_a_body_becomes_a_struct() -> None:
    assert decode_body(b'{"priority": 3}', AmendBody) == AmendBody(priority=3)


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b'{"priority": "x"}', "priority: "),
        (b'{"unknown": 1}', "body: object contains unknown field unknown; known are priority, speed_limit"),
        (b"[]", "body: expected object"),
        (b"{", "body: expected JSON: "),
        (b'{"url": "\xff"}', "body: expected JSON"),
        (b'{"x": ' + b"[" * 100_000, "body: "),
    ],
    ids=["value", "field", "type", "cut", "bytes", "depth"],
)
def test_another_body_is_an_error_that_names_the_place(body: bytes, detail: str) -> None:
    with pytest.raises(InvalidParameterError) as raised:
        decode_body(body, AmendBody)
    assert raised.value.detail.startswith(detail)


@given(st.binary(max_size=200))
def test_no_body_raises_another_error(body: bytes) -> None:
    with contextlib.suppress(InvalidParameterError):
        decode_body(body, AmendBody)
