"""Decoding of elements of arrays in archives."""

import json
from collections.abc import Iterable

import msgspec
import pytest

from downloadd.imports import json_structs
from downloadd.imports.json_array import InvalidArrayError
from downloadd.imports.json_structs import StructDecoder


class Thing(msgspec.Struct):
    id: str


class Archive:
    """Archive with one entry."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def size(self, name: str) -> int:
        return len(self._data)

    def read(self, name: str) -> bytes:
        return self._data

    def pieces(self, name: str) -> Iterable[bytes]:
        return (self._data[at : at + 7] for at in range(0, len(self._data), 7))


@pytest.fixture(params=[0, json_structs.MAX_DECODED_BYTES], ids=["each", "at once"])
def limit(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Decode each element, or the array at once."""
    monkeypatch.setattr(json_structs, "MAX_DECODED_BYTES", request.param)


def decode(data: object) -> list[str | None]:
    raw = data if isinstance(data, bytes) else json.dumps(data).encode()
    return [None if one is None else one.id for one in StructDecoder(Thing).read_array(Archive(raw), "x")]


@pytest.mark.usefixtures("limit")
def test_a_malformed_element_does_not_hide_the_others() -> None:
    assert decode([{"id": "a"}, {"id": 5}, None, "x", {"id": "b"}]) == ["a", None, None, None, "b"]
    assert decode(b'[{"id": "a"}, {"id": "\\ud83d"}, {"id": "\xff"}]') == ["a", "\ufffd", "\ufffd"]


@pytest.mark.usefixtures("limit")
@pytest.mark.parametrize("data", [b"", b"null", b"[]"])
def test_null_and_nothing_have_no_elements(data: bytes) -> None:
    assert decode(data) == []


@pytest.mark.usefixtures("limit")
def test_a_truncated_array_yields_the_elements_before_the_error() -> None:
    elements = StructDecoder(Thing).read_array(Archive(b'[{"id": "a"}, {"id'), "x")
    assert next(elements) == Thing("a")
    with pytest.raises(InvalidArrayError):
        next(elements)


def test_one_element_is_decoded_from_its_raw_json() -> None:
    assert StructDecoder(Thing).decode(msgspec.Raw(b'{"id": "a"}')) == Thing("a")
    assert StructDecoder(Thing).decode(b"5") is None
