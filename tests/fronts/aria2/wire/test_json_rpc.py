"""JSON-RPC: the envelope in every form that clients send, and answers as aria2 1.36 gives them."""

import json
import math
from base64 import b64encode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from downloadd.fronts.aria2.calls import EncodedList, Outcome
from downloadd.fronts.aria2.errors import RpcError
from downloadd.fronts.aria2.wire.envelope import MAX_CALLS, http_status
from downloadd.fronts.aria2.wire.json_rpc import (
    MAX_CALLBACK_CHARACTERS,
    Message,
    encode_answer,
    encode_notification,
    match_outcomes,
    parse_callback,
    parse_message,
    parse_query,
)

PARSE_ERROR = {"code": -32700, "message": "Parse error."}
INVALID_REQUEST = {"code": -32600, "message": "Invalid Request."}
INVALID_PARAMS = {"code": -32602, "message": "Invalid params."}
JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner)
    ),
    max_leaves=10,
)


def answer(message: Message, *results: Any) -> Any:
    """Return the answer to a message whose calls have these results."""
    outcomes = match_outcomes(message, [Outcome(result=each) for each in results])
    return json.loads(encode_answer(message, outcomes))


# -- requests ----------------------------------------------------------------------------------------------------------


def test_method_and_parameters_are_taken_and_all_other_members_are_ignored() -> None:
    text = (
        '{"jsonrpc": "json-rpc", "id": 7, "method": "aria2.addUri", "params": ["token:x", ["http://a/"]], "more": {}}'
    )
    message = parse_message(text.encode())
    [call] = message.calls
    assert (call.method, call.params) == ("aria2.addUri", ["token:x", ["http://a/"]])
    assert answer(message, "0000000000000001") == {"id": 7, "jsonrpc": "2.0", "result": "0000000000000001"}


def test_a_call_may_have_no_parameters() -> None:
    [call] = parse_message(b' {"id":"","method":"aria2.getVersion"}\n').calls
    assert call.params == []


@pytest.mark.parametrize(
    "id",
    [
        "0",
        "-1",
        '""',
        "null",
        '"a \\u00e9"',
        "12345678901234567890123",
        "1.50",
        "1e3",
        "-0.0",
        "true",
        "[1]",
        '{"a": 1}',
    ],
)
def test_the_id_comes_back_as_it_was_written(id: str) -> None:
    message = parse_message(f'{{"id": {id}, "method": "a"}}'.encode())
    assert encode_answer(message, [Outcome(result="OK")]) == f'{{"id":{id},"jsonrpc":"2.0","result":"OK"}}'.encode()


@pytest.mark.parametrize(
    ("data", "id", "error", "status"),
    [
        (b"", None, PARSE_ERROR, 500),
        (b"  ", None, PARSE_ERROR, 500),
        (b"{", None, PARSE_ERROR, 500),
        (b'{"id": 1, "method": "a"} x', None, PARSE_ERROR, 500),
        (b'\xef\xbb\xbf{"id": 1, "method": "a"}', None, PARSE_ERROR, 500),
        (b'{"id": "\xff", "method": "a"}', None, PARSE_ERROR, 500),
        (b'{"id": 1, "method": "\xff"}', None, PARSE_ERROR, 500),
        (b'{"id": 1, "method": "a", "params": [NaN]}', None, PARSE_ERROR, 500),
        (b'{"id": 1, "method": "a", "params": [1e999]}', None, PARSE_ERROR, 500),
        (b'{"id": 1e999, "method": "a"}', None, PARSE_ERROR, 500),
        (b'[{"id": 1, "method": "a"}, {]', None, PARSE_ERROR, 500),
        (b"1", None, INVALID_REQUEST, 400),
        (b'"a"', None, INVALID_REQUEST, 400),
        (b"null", None, INVALID_REQUEST, 400),
        (b"{}", None, INVALID_REQUEST, 400),
        (b'{"method": "a"}', None, INVALID_REQUEST, 400),
        (b'{"id": 5}', 5, INVALID_REQUEST, 400),
        (b'{"id": 5, "method": 1}', 5, INVALID_REQUEST, 400),
        (b'{"id": "x", "method": "a", "params": {}}', "x", INVALID_PARAMS, 500),
        (b'{"id": 5, "method": "a", "params": "b"}', 5, INVALID_PARAMS, 500),
        (b'{"id": 5, "method": "a", "params": null}', 5, INVALID_PARAMS, 500),
    ],
)
def test_what_is_not_a_call_has_the_error_and_the_status_of_aria2(
    data: bytes, id: Any, error: dict[str, Any], status: int
) -> None:
    message = parse_message(data)
    assert message.calls == []
    assert answer(message) == {"id": id, "jsonrpc": "2.0", "error": error}
    assert http_status(message.requests[0].error) == status


@pytest.mark.parametrize(
    "data",
    [
        b"[" * 100_000,
        b"[" * 100_000 + b"]" * 100_000,
        b'{"a":' * 100_000,
        b'{"id":1,"method":"a","params":' + b"[" * 100_000,
        b'{"method":"a","id":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"id":1,"other":' + b"[" * 100_000,
    ],
    ids=["open", "closed", "objects", "params", "id", "ignored member"],
)
def test_nesting_of_100_000_levels_is_a_parse_error(data: bytes) -> None:
    assert answer(parse_message(data)) == {"id": None, "jsonrpc": "2.0", "error": PARSE_ERROR}


def test_a_batch_is_answered_in_order_whatever_its_members_are() -> None:
    message = parse_message(
        b'[{"id": "a", "method": "x"}, 3, [], {"id": null, "method": "y"}, {"id": 2, "method": "z", "params": {}}, {}]'
    )
    assert [call.method for call in message.calls] == ["x", "y"]
    failed = {"id": None, "jsonrpc": "2.0", "error": INVALID_REQUEST}
    assert answer(message, 1, 2) == [
        {"id": "a", "jsonrpc": "2.0", "result": 1},
        failed,
        failed,
        {"id": None, "jsonrpc": "2.0", "result": 2},
        {"id": 2, "jsonrpc": "2.0", "error": INVALID_PARAMS},
        failed,
    ]


def test_a_batch_of_one_is_a_batch_and_an_empty_one_has_no_answers() -> None:
    assert answer(parse_message(b'[{"id": 1, "method": "x"}]'), "OK") == [{"id": 1, "jsonrpc": "2.0", "result": "OK"}]
    assert answer(parse_message(b" []")) == []


def test_a_batch_of_too_many_members_is_refused_with_one_error() -> None:
    assert len(parse_message(b"[" + b",".join([b"{}"] * MAX_CALLS) + b"]").requests) == MAX_CALLS
    assert answer(parse_message(b"[" + b",".join([b"{}"] * (MAX_CALLS + 1)) + b"]"))["error"] == INVALID_REQUEST


# -- queries -----------------------------------------------------------------------------------------------------------


def encode_params(value: Any) -> str:
    return b64encode(json.dumps(value).encode()).decode()


def test_a_query_has_method_id_and_params_in_base64() -> None:
    values = {
        "method": "aria2.%61ddUri",
        "id": "1",
        "params": encode_params([["é"], 1]).replace("=", "%3D"),
        "jsonrpc": "2",
    }
    message = parse_query(values)
    [call] = message.calls
    assert (call.method, call.params) == ("aria2.addUri", [["é"], 1])
    assert answer(message, "OK")["id"] == "1", "the id comes back as a text"


@pytest.mark.parametrize("params", ["WyI/Pz8+Il0=", "WyI/Pz8+Il0", "WyI_Pz8-Il0", "WyI/\nPz8%2BIl0%3D"])
def test_every_spelling_of_base64_is_read(params: str) -> None:
    [call] = parse_query({"method": "a", "id": "1", "params": params}).calls
    assert call.params == ["???>"]


def test_without_method_and_id_the_params_are_the_message() -> None:
    batch = [{"id": 1, "method": "a"}, {"id": 2, "method": "b"}]
    message = parse_query({"params": encode_params(batch)})
    assert message.is_batch
    assert [call.method for call in message.calls] == ["a", "b"]
    assert not parse_query({"params": encode_params(batch[0])}).is_batch


@pytest.mark.parametrize(
    ("values", "id", "error"),
    [
        ({}, None, INVALID_REQUEST),
        ({"method": "a"}, None, INVALID_REQUEST),
        ({"id": "5"}, "5", INVALID_REQUEST),
        ({"method": "a", "id": "5", "params": "%5B%5D"}, "5", INVALID_REQUEST),
        ({"method": "a", "id": "5", "params": "é"}, "5", INVALID_REQUEST),
        ({"method": "a", "id": "5", "params": "bm9qc29u"}, "5", INVALID_REQUEST),
        ({"method": "a", "id": "5", "params": encode_params({})}, "5", INVALID_PARAMS),
        ({"method": "a", "id": "5", "params": b64encode(b"[" * 100_000).decode()}, "5", INVALID_REQUEST),
        ({"params": "bm9qc29u"}, None, PARSE_ERROR),
        ({"params": "%5B%5D"}, None, INVALID_REQUEST),
    ],
)
def test_a_query_that_is_not_a_call_has_an_error(values: dict[str, str], id: Any, error: dict[str, Any]) -> None:
    assert answer(parse_query(values)) == {"id": id, "jsonrpc": "2.0", "error": error}


@pytest.mark.parametrize("name", ["cb", "_", "$", "jQuery123_456", "a.b.c", "a%2Eb"])
def test_a_callback_is_an_identifier(name: str) -> None:
    callback = parse_callback({"jsoncallback": name})
    message = parse_message(b'{"id": 1, "method": "a"}')
    assert callback == name.replace("%2E", ".")
    script = encode_answer(message, [Outcome(result="OK")], callback)
    assert script == f'{callback}({{"id":1,"jsonrpc":"2.0","result":"OK"}})'.encode()


@pytest.mark.parametrize(
    "name",
    ["", "1a", "a b", "alert(1)//", "a%28", "a%0A", "a\n", "é", "a" * (MAX_CALLBACK_CHARACTERS + 1), "a-b", "%ff"],
)
def test_any_other_callback_is_refused(name: str) -> None:
    with pytest.raises(RpcError, match="Invalid Request"):
        parse_callback({"jsoncallback": name})


def test_without_a_callback_the_answer_is_plain() -> None:
    assert parse_callback({"method": "a"}) is None


# -- answers -----------------------------------------------------------------------------------------------------------


def test_a_call_that_failed_within_a_result_has_code_and_message() -> None:
    message = parse_message(b'{"id": 1, "method": "system.multicall"}')
    result = [["OK"], RpcError(1, "Unauthorized")]
    assert answer(message, result)["result"] == [["OK"], {"code": 1, "message": "Unauthorized"}]


def test_an_answer_has_a_result_or_an_error_and_never_both() -> None:
    message = parse_message(b'{"id": 1, "method": "a"}')
    assert answer(message, None) == {"id": 1, "jsonrpc": "2.0", "result": None}
    encoded = encode_answer(message, [Outcome(result="OK", error=RpcError(1, "No"))])
    assert encoded == b'{"id":1,"jsonrpc":"2.0","error":{"code":1,"message":"No"}}'


def test_a_notification_has_no_id() -> None:
    encoded = encode_notification("aria2.onDownloadStart", "00000000000000ab")
    assert encoded == b'{"jsonrpc":"2.0","method":"aria2.onDownloadStart","params":[{"gid":"00000000000000ab"}]}'


# -- properties --------------------------------------------------------------------------------------------------------


@given(JSON_VALUES, st.lists(JSON_VALUES, max_size=4), JSON_VALUES)
def test_ids_parameters_and_results_come_through_unchanged(id: Any, params: list[Any], result: Any) -> None:
    message = parse_message(json.dumps({"id": id, "method": "a", "params": params}).encode())
    assert message.calls[0].params == params
    found = answer(message, result)
    assert found == {"id": id, "jsonrpc": "2.0", "result": result}
    assert type(found["id"]) is type(id)
    assert not isinstance(id, float) or math.copysign(1, found["id"]) == math.copysign(1, id)


@given(st.binary(max_size=60) | JSON_VALUES.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_are_a_message_that_can_be_answered(data: bytes) -> None:
    message = parse_message(data)
    found = answer(message, *["OK"] * len(message.calls))
    assert isinstance(found, list) is message.is_batch


@given(st.dictionaries(st.sampled_from(["method", "id", "params", "jsoncallback"]), st.text(max_size=20)))
def test_any_query_is_a_message_that_can_be_answered(values: dict[str, str]) -> None:
    try:
        callback = parse_callback(values)
    except RpcError:
        callback = None
    message = parse_query(values)
    encode_answer(message, match_outcomes(message, [Outcome(result="OK")] * len(message.calls)), callback)


def test_an_encoded_list_is_sent_as_it_is_also_within_a_multicall() -> None:
    message = parse_message(b'{"id": 1, "method": "aria2.tellWaiting"}')
    rows = EncodedList([{"gid": "a"}])
    assert b'"result":[{"gid":"a"}]}' in encode_answer(message, [Outcome(result=rows)])
    assert b'"result":[[[{"gid":"a"}]],"OK"]}' in encode_answer(message, [Outcome(result=[[rows], "OK"])])
