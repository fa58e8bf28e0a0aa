from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from downloadd.fronts.aria2.access.tokens import MAX_SCANNED_TOKENS, collect_tokens, scan_json, scan_xml, take_token
from downloadd.fronts.aria2.calls import Call


@pytest.mark.parametrize(
    ("params", "token", "rest"),
    [
        ([], None, []),
        (["token:"], "", []),
        (["token:x", 1], "x", [1]),
        (["token:a:b"], "a:b", []),
        (["token:token:x"], "token:x", []),
        (["Token:x"], None, ["Token:x"]),
        ([1, "token:x"], None, [1, "token:x"]),
        ([["token:x"]], None, [["token:x"]]),
    ],
)
def test_only_a_first_text_with_the_prefix_is_a_token(params: list[Any], token: str | None, rest: list[Any]) -> None:
    assert take_token(params) == (token, rest)


def test_tokens_of_calls_and_of_calls_within_a_multicall_are_collected() -> None:
    inner: list[Any] = [
        {"methodName": "a", "params": ["token:in"]},
        {"methodName": "a", "params": ["gid"]},
        {"methodName": "a", "params": "token:text"},
        {"methodName": "a"},
        "token:member",
        ["token:list"],
    ]
    calls = [
        Call(method="a", params=["token:out"]),
        Call(method="a", params=["token:"]),
        Call(method="a", params=[[{"params": ["token:of another method"]}]]),
        Call(method="system.multicall", params=[inner]),
        Call(method="system.multicall", params=["token:front", [{"params": ["token:in2"]}]]),
        Call(method="system.multicall"),
    ]
    assert collect_tokens(calls) == {"out", "in", "front", "in2"}


def test_tokens_are_found_in_the_beginning_of_a_message() -> None:
    assert scan_json(b'{"params":["token:a\\"\\u00e9b", ["token:c"]], "x": "token:", "to":"token:cut') == {'a"éb', "c"}
    assert scan_xml(b"<value>token:a&amp;b</value><string>\n token:c</string><value>x token:d</value>") == {"a&b", "c"}


def test_a_list_of_guesses_is_not_read_to_its_end() -> None:
    guesses = [f'"token:{number}"'.encode() for number in range(MAX_SCANNED_TOKENS + 5)]
    assert len(scan_json(b",".join(guesses))) == MAX_SCANNED_TOKENS


@given(st.binary(max_size=80))
def test_any_bytes_can_be_searched(data: bytes) -> None:
    assert all(isinstance(each, str) for each in (*scan_json(b'"token:' + data), *scan_xml(b">token:" + data + b"<")))
