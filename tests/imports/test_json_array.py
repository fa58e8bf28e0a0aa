"""Arrays are taken apart where a JSON parser would, whatever their elements hold and however long they are."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from downloadd.imports import json_array
from downloadd.imports.json_array import InvalidArrayError, read_elements

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.floats(allow_nan=False)
    | st.text(max_size=9)
    | st.sampled_from(['"', "\\", "]}", "[{,"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)


@pytest.fixture(params=[1, 2, 3, 7, 256 * 1024])
def window(request: Any, monkeypatch: pytest.MonkeyPatch) -> int:
    """Bytes that one search sees; whatever lies across its end."""
    monkeypatch.setattr(json_array, "_WINDOW_BYTES", request.param)
    return int(request.param)


@pytest.mark.usefixtures("window")
def test_an_array_is_taken_apart_as_a_parser_does() -> None:
    @settings(max_examples=60)
    @given(values=st.lists(VALUES, max_size=5), indent=st.sampled_from([None, 1]), is_ascii=st.booleans())
    def check(values: list[Any], indent: int | None, is_ascii: bool) -> None:
        data = json.dumps(values, indent=indent, ensure_ascii=is_ascii).encode()
        assert [json.loads(raw or b"") for raw in read_elements(b" \n" + data + b"\t")] == values

    check()


@pytest.mark.usefixtures("window")
@pytest.mark.parametrize(
    "data",
    [b"", b" ", b"{}", b"[", b"[1", b"[1,", b"[1,]", b"[,1]", b"[1 2]", b"[1] x", b'["a', b'["a\\', b'[{"a":1', b"[[]"],
)
def test_what_is_no_array_is_said_to_be_none(data: bytes) -> None:
    with pytest.raises(InvalidArrayError):
        list(read_elements(data))


@given(data=st.binary(max_size=60) | st.text(alphabet='[]{}",\\ a1', max_size=30).map(str.encode))
def test_whatever_it_is_it_is_taken_apart_or_no_array(data: bytes) -> None:
    with suppress(InvalidArrayError):
        assert all(raw and raw in data for raw in read_elements(data))


def test_what_comes_before_the_break_is_given() -> None:
    taken: list[bytes | None] = []
    with pytest.raises(InvalidArrayError):
        taken.extend(read_elements(b'[{"a": 1}, "x", {"b'))
    assert taken == [b'{"a": 1}', b'"x"']


def test_an_element_that_is_too_long_costs_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_array, "MAX_ELEMENT_BYTES", 10)
    assert list(read_elements(b'[1, "' + b"x" * 20 + b'", {"a": [' + b"1," * 20 + b"1]}, 2]")) == [
        b"1",
        None,
        None,
        b"2",
    ]


def test_an_array_of_too_many_elements_ends_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_array, "MAX_ELEMENTS", 3)
    assert len(list(read_elements(b"[1,1,1]"))) == 3
    with pytest.raises(InvalidArrayError, match="more than 3"):
        list(read_elements(b"[1,1,1,1]"))
