"""Calls within a call."""

from typing import Any

import pytest

from downloadd.fronts.aria2.calls import Call, Outcome
from downloadd.fronts.aria2.errors import RpcError
from downloadd.fronts.aria2.methods.multicall import collect, expand
from downloadd.users import User

ANN = User(id="ann", permissions=frozenset({"download"}))


def multicall(*params: Any) -> Call:
    return Call(method="system.multicall", params=list(params))


def messages(call: Call) -> list[str]:
    return [each.message for each in expand(call).calls if isinstance(each, RpcError)]


def test_another_call_stands_for_itself() -> None:
    call = Call(method="aria2.getVersion", params=["token:x"])
    expansion = expand(call)
    assert list(expansion.calls) == [call]
    outcome = Outcome(result=1, user=ANN)
    assert collect(expansion, [outcome]) is outcome


@pytest.mark.parametrize("front", [[], ["token:wrong"]])
def test_a_multicall_stands_for_its_members(front: list[str]) -> None:
    members = [{"methodName": "a", "params": ["token:x", 1]}, {"methodName": "b"}, {"methodName": "c", "params": "x"}]
    assert list(expand(multicall(*front, members)).calls) == [
        Call(method="a", params=["token:x", 1]),
        Call(method="b"),
        Call(method="c"),
    ]


def test_members_that_are_no_calls_have_an_error_each() -> None:
    call = multicall([1, None, {}, {"methodName": 1}, {"methodName": "system.multicall", "params": [[]]}])
    assert messages(call) == [
        "system.multicall expected struct.",
        "system.multicall expected struct.",
        "Missing methodName.",
        "Missing methodName.",
        "Recursive system.multicall forbidden.",
    ]


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ([], "The parameter at 0 is required but missing."),
        (["token:x"], "The parameter at 0 is required but missing."),
        (["x"], "The parameter at 0 has wrong type."),
        ([{}], "The parameter at 0 has wrong type."),
    ],
)
def test_a_multicall_without_a_list_is_an_error_itself(params: list[Any], message: str) -> None:
    expansion = expand(multicall(*params))
    assert messages(multicall(*params)) == [message]
    failed = Outcome(error=RpcError(1, message))
    assert collect(expansion, [failed]) is failed


def test_results_are_wrapped_and_errors_are_not() -> None:
    error = RpcError(1, "x")
    outcomes = [Outcome(error=error), Outcome(result={"a": "b"}, user=ANN), Outcome(result=[])]
    outcome = collect(expand(multicall([{}, {}, {}])), outcomes)
    assert outcome == Outcome(result=[error, [{"a": "b"}], [[]]], user=ANN)


def test_an_empty_multicall_has_an_empty_result() -> None:
    assert collect(expand(multicall([])), []) == Outcome(result=[])
