"""Typed reading of positional parameters."""

import math
from collections.abc import Callable
from typing import Any

import pytest

from downloadd.fronts.aria2.errors import RpcError
from downloadd.fronts.aria2.methods.parameters import MAX_INTEGER, Parameters

Read = Callable[[Parameters, int], Any]

MISSING = "The parameter at 1 is required but missing."
WRONG = "The parameter at 1 has wrong type."

REQUIRED: dict[str, tuple[Read, Any, Any]] = {
    "text": (Parameters.text, "", 1),
    "binary": (Parameters.binary, b"x", 1),
    "integer": (Parameters.integer, 0, "1"),
    "texts": (Parameters.texts, [], {}),
    "struct": (Parameters.struct, {}, []),
    "list_of_any": (Parameters.list_of_any, [1], "x"),
}
OPTIONAL: dict[str, tuple[Read, Any, Any, Any]] = {
    "integer": (Parameters.optional_integer, 3, "3", None),
    "position": (Parameters.optional_position, 3, True, None),
    "texts": (Parameters.optional_texts, ["a"], "a", None),
    "struct": (Parameters.optional_struct, {"a": 1}, None, {}),
}


def message_of(read: Callable[[], Any]) -> str:
    with pytest.raises(RpcError) as caught:
        read()
    assert caught.value.code == 1
    return caught.value.message


@pytest.mark.parametrize("name", REQUIRED)
def test_a_required_parameter_is_read_or_refused(name: str) -> None:
    read, value, wrong = REQUIRED[name]
    assert read(Parameters(["x", value]), 1) == value
    assert message_of(lambda: read(Parameters(["x"]), 1)) == MISSING
    assert message_of(lambda: read(Parameters(["x", wrong]), 1)) == WRONG
    assert message_of(lambda: read(Parameters(["x", None]), 1)) == WRONG


@pytest.mark.parametrize("name", OPTIONAL)
def test_an_optional_parameter_may_be_missing_but_not_null(name: str) -> None:
    read, value, wrong, default = OPTIONAL[name]
    assert read(Parameters(["x", value]), 1) == value
    assert read(Parameters(["x"]), 1) == default
    assert message_of(lambda: read(Parameters(["x", wrong]), 1)) == WRONG
    assert message_of(lambda: read(Parameters(["x", None]), 1)) == WRONG


def test_members_of_another_type_are_left_out_of_texts() -> None:
    assert Parameters([["a", 1, None, "b", ["c"]]]).texts(0) == ["a", "b"]


@pytest.mark.parametrize(("value", "number"), [(1.9, 1), (-1.9, -1), (10**30, MAX_INTEGER), (-(10**30), -MAX_INTEGER)])
def test_a_fraction_is_cut_off_and_a_huge_integer_reduced(value: float, number: int) -> None:
    assert Parameters([value]).integer(0) == number


@pytest.mark.parametrize("value", [True, math.nan, math.inf, "1", None, [1]])
def test_what_is_not_a_number_has_the_wrong_type(value: object) -> None:
    assert message_of(lambda: Parameters([value]).integer(0)) == "The parameter at 0 has wrong type."


def test_an_integer_may_have_a_minimum() -> None:
    assert Parameters([0]).integer(0, minimum=0) == 0
    assert message_of(lambda: Parameters([-1]).integer(0, minimum=0)) == (
        "The integer parameter at 0 has invalid value: the value must be greater than or equal to 0."
    )


def test_a_position_is_not_negative() -> None:
    assert Parameters([0]).optional_position(0) == 0
    assert message_of(lambda: Parameters([-1]).optional_position(0)) == "Position must be greater than or equal to 0."
