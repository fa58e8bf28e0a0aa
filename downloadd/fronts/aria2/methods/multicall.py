"""`system.multicall`: calls within a call.

Each inner call has a token of its own. Pure: no I/O and no clock.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from downloadd.fronts.aria2.access.tokens import MULTICALL, take_token
from downloadd.fronts.aria2.calls import Call, Outcome
from downloadd.fronts.aria2.errors import ErrorText, RpcError, make_error
from downloadd.fronts.aria2.methods.parameters import Parameters


class Expansion(msgspec.Struct, frozen=True, kw_only=True):
    """A call as the calls that are to be performed for it; an error stands for one that cannot be."""

    calls: Sequence[Call | RpcError]
    is_multicall: bool


def expand(call: Call) -> Expansion:
    """Return the calls within a `system.multicall`, and any other call as it is."""
    if call.method != MULTICALL:
        return Expansion(calls=(call,), is_multicall=False)
    # A token in front of the list permits nothing.
    _, params = take_token(call.params)
    try:
        members = Parameters(params).list_of_any(0)
    except RpcError as error:
        return Expansion(calls=(error,), is_multicall=False)
    return Expansion(calls=[_read_member(member) for member in members], is_multicall=True)


def collect(expansion: Expansion, outcomes: Sequence[Outcome]) -> Outcome:
    """Return the outcome of a call from those of the calls that it stands for."""
    if not expansion.is_multicall:
        return outcomes[0]
    return Outcome(
        result=[[outcome.result] if outcome.error is None else outcome.error for outcome in outcomes],
        user=next((outcome.user for outcome in outcomes if outcome.user is not None), None),
    )


def _read_member(member: Any) -> Call | RpcError:
    if not isinstance(member, dict):
        return make_error(ErrorText.MULTICALL_EXPECTS_STRUCT)
    method, params = member.get("methodName"), member.get("params")
    if not isinstance(method, str):
        return make_error(ErrorText.MISSING_METHOD_NAME)
    if method == MULTICALL:
        return make_error(ErrorText.RECURSIVE_MULTICALL)
    return Call(method=method, params=params if isinstance(params, list) else [])
