"""Idempotency keys."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict, CIMultiDictProxy
from support.served_api import ServedApi

from downloadd.errors import InvalidParameterError
from downloadd.fronts.rest.idempotency import read_idempotency_key

SAME: dict[str, Any] = {"user": "u", "method": "GET", "target": "/d?download=a"}


def fields(*keys: str) -> CIMultiDictProxy[str]:
    return CIMultiDictProxy(CIMultiDict([("Idempotency-Key", key) for key in keys]))


def test_a_request_without_a_key_has_none() -> None:
    assert read_idempotency_key(fields(), **SAME) is None


@given(st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=255))
def test_visible_ascii_is_a_key(text: str) -> None:
    key = read_idempotency_key(fields(text), **SAME)
    assert key is not None
    assert key.key == text


@pytest.mark.parametrize("keys", [("",), ("a b",), ("é",), ("\x7f",), ("k" * 256,), ("a", "a")])
def test_anything_else_is_not(keys: tuple[str, ...]) -> None:
    with pytest.raises(InvalidParameterError):
        read_idempotency_key(fields(*keys), **SAME)


@pytest.mark.parametrize("other", [{"user": "v"}, {"method": "POST"}, {"target": "/d?download=b"}])
def test_another_request_has_another_fingerprint(other: dict[str, str]) -> None:
    one, two = read_idempotency_key(fields("k"), **SAME), read_idempotency_key(fields("k"), **{**SAME, **other})
    assert one is not None
    assert two is not None
    assert one.fingerprint != two.fingerprint


def test_another_body_has_another_fingerprint() -> None:
    one = read_idempotency_key(fields("k"), **SAME, body=b"a")
    two = read_idempotency_key(fields("k"), **SAME, body=b"b")
    assert one is not None
    assert two is not None
    assert one.fingerprint != two.fingerprint


@pytest.mark.parametrize("target", ["/", "/?downloads=", "/d?downloads=", "/?download_history=", "/api/v1/downloads"])
async def test_an_invalid_key_is_refused_by_operations_that_ignore_keys_too(api: ServedApi, target: str) -> None:
    status, _, body = await api.raw("GET", target, "Idempotency-Key: not one")
    assert (status, b"INVALID_PARAMETER" in body) == (400, True)
    assert (await api.raw("GET", target, "Idempotency-Key: one"))[0] == 200
