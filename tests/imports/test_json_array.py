"""Arrays are taken apart where a JSON parser would, whatever their elements hold and however long they are."""

import itertools
import json
import tracemalloc
from contextlib import suppress
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from downloadd.imports import json_array
from downloadd.imports.json_array import InvalidArrayError, read_arrays, read_elements

pytestmark = pytest.mark.system

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.floats(allow_nan=False)
    | st.text(max_size=9)
    | st.sampled_from(['"', "\\", "]}", "[{,"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)


WINDOWS = (1, 2, 3, 7, 256 * 1024)
"""Bytes that one search sees; anything may lie across its end."""

PIECES = (1, 2, 5, 1 << 20)
"""Lengths of the pieces that a text comes in."""


@pytest.fixture(params=WINDOWS)
def window(request: Any, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(json_array, "_WINDOW_BYTES", request.param)
    return int(request.param)


def cut(data: bytes, length: int = 3) -> list[bytes]:
    return [data[at : at + length] for at in range(0, len(data), length)]


@settings(max_examples=200)
@given(
    values=st.lists(VALUES, max_size=5),
    indent=st.sampled_from([None, 1]),
    is_ascii=st.booleans(),
    window=st.sampled_from(WINDOWS),
    length=st.sampled_from(PIECES),
)
def test_the_elements_are_those_that_a_parser_finds(
    values: list[Any], indent: int | None, is_ascii: bool, window: int, length: int
) -> None:
    data = json.dumps(values, indent=indent, ensure_ascii=is_ascii).encode()
    with patch.object(json_array, "_WINDOW_BYTES", window):
        assert [json.loads(raw or b"") for raw in read_elements(cut(b" \n" + data + b"\t", length))] == values


@pytest.mark.usefixtures("window")
@pytest.mark.parametrize(
    "data",
    [
        b"{}",
        b"nul",
        b"null 1",
        b"nulll",
        b"[",
        b"[1",
        b"[1,",
        b"[1,]",
        b"[,1]",
        b"[1 2]",
        b"[1] x",
        b'["a',
        b'["a\\',
        b'[{"a":1',
        b"[[]",
    ],
)
def test_data_that_is_not_an_array_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidArrayError):
        list(read_elements(cut(data)))


@pytest.mark.parametrize("data", [b"", b" \n", b"null", b" null ", b"[]", b" [ ] "])
def test_no_text_and_null_have_no_elements(data: bytes) -> None:
    """Programs in Go write null for a list that is empty."""
    assert list(read_elements(cut(data))) == []


@given(data=st.binary(max_size=60) | st.text(alphabet='[]{}",\\ a1', max_size=30).map(str.encode))
def test_any_data_is_split_or_refused(data: bytes) -> None:
    with suppress(InvalidArrayError):
        assert all(raw and raw in data for raw in read_elements(cut(data, 4)))


def test_the_elements_before_an_error_are_yielded() -> None:
    taken: list[bytes | None] = []
    with pytest.raises(InvalidArrayError):
        taken.extend(read_elements([b'[{"a": 1}, "x", {"b']))
    assert taken == [b'{"a": 1}', b'"x"']


def test_an_element_that_is_too_long_is_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_array, "MAX_ELEMENT_BYTES", 10)
    data = b'[1, "' + b"x" * 20 + b'", {"a": [' + b"1," * 20 + b"1]}, 2]"
    for length in PIECES:
        assert list(read_elements(cut(data, length))) == [b"1", None, None, b"2"]


def test_an_array_with_too_many_elements_is_refused_at_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_array, "MAX_ELEMENTS", 3)
    assert len(list(read_elements([b"[1,1,1]"]))) == 3
    with pytest.raises(InvalidArrayError, match="more than 3"):
        list(read_elements([b"[1,1,1,1]"]))


def test_memory_does_not_grow_with_the_array_or_one_element() -> None:
    element = b'{"text": "' + b"x" * 500 + b'"}'
    long = b'"' + b"y" * (16 << 20) + b'"'
    pieces = itertools.chain([b"["], itertools.repeat(element + b",", 60_000), cut(long, 65_536), [b"]"])
    tracemalloc.start()
    try:
        assert sum(raw is None for raw in read_elements(pieces)) == 1
        assert tracemalloc.get_traced_memory()[1] < (40 << 20)
    finally:
        tracemalloc.stop()


@settings(max_examples=200)
@given(
    values=st.dictionaries(st.text("ab{[", max_size=4), st.lists(VALUES, max_size=3) | VALUES, max_size=4),
    window=st.sampled_from(WINDOWS),
    length=st.sampled_from(PIECES),
)
def test_the_elements_of_members_are_those_that_a_parser_finds(
    values: dict[str, Any], window: int, length: int
) -> None:
    data = json.dumps(values, indent=1).encode()
    expected = [(name, one) for name, value in values.items() if isinstance(value, list) for one in value]
    with patch.object(json_array, "_WINDOW_BYTES", window):
        found = list(read_arrays(cut(b" " + data + b"\n", length)))
    assert [(name.decode(), json.loads(raw or b"")) for name, raw in found] == expected


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"{", b'{"a"', b'{"a" 1}', b'{"a":}', b'{"a":[1}', b'{"a":[1],}', b"{1:2}", b"{} x", b'{"a":1']
)
def test_data_that_is_not_an_object_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidArrayError):
        list(read_arrays(cut(data)))


@given(data=st.binary(max_size=60) | st.text(alphabet='[]{}",\\: a1', max_size=30).map(str.encode))
def test_any_object_is_split_or_refused(data: bytes) -> None:
    with suppress(InvalidArrayError):
        list(read_arrays(cut(data, 4)))


@pytest.mark.parametrize("blank", [b"\v", b"\f", b"\x1c", b"\xa0"])
def test_a_blank_that_is_none_of_json_is_an_element_that_the_parser_refuses(blank: bytes) -> None:
    assert list(read_elements((b"[1, " + blank + b", 2]",))) == [b"1", blank, b"2"]
