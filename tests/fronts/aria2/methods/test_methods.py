"""All methods, as the wire formats call them."""

import asyncio
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.rpc_stack import USERS, RpcStack

from downloadd.fronts.aria2.calls import Call, Outcome
from downloadd.fronts.aria2.errors import RpcError
from downloadd.fronts.aria2.methods.method_table import METHODS, NAME_LISTS

URL = "http://127.0.0.1:1025/a"


def member(method: str, *params: Any) -> dict[str, Any]:
    return {"methodName": method, "params": list(params)}


async def perform(rpc: RpcStack, *calls: Call) -> list[Outcome]:
    return await rpc.methods.call_all(calls, request_id=None)


async def test_calls_within_calls_are_performed_with_their_own_tokens(rpc: RpcStack) -> None:
    members = [
        member("aria2.getVersion", "token:ann"),
        member("aria2.getVersion"),
        member("aria2.nope", "token:ann"),
        1,
        member("system.listNotifications"),
    ]
    (outcome,) = await perform(rpc, Call(method="system.multicall", params=["token:ann", members]))
    version, unauthorized, unknown, malformed, names = outcome.result
    assert version[0]["version"] == "1.37.0"
    errors = (unauthorized, unknown, malformed)
    assert all(isinstance(error, RpcError) for error in errors)
    assert [error.message for error in errors] == [
        "Unauthorized",
        "No such method: aria2.nope",
        "system.multicall expected struct.",
    ]
    assert len(names[0]) == 6
    assert outcome.user == USERS["ann"]


async def test_a_token_in_front_of_a_multicall_permits_nothing(rpc: RpcStack) -> None:
    (outcome,) = await perform(rpc, Call(method="system.multicall", params=["token:ann", [member("aria2.getVersion")]]))
    assert outcome.result[0].message == "Unauthorized"
    assert outcome.user is None


async def test_a_thousand_downloads_are_one_transaction(rpc: RpcStack, monkeypatch: Any) -> None:
    starts: list[int] = []
    start = rpc.service.start

    async def record(user: Any, requests: Any, **others: Any) -> Any:
        starts.append(len(requests))
        return await start(user, requests, **others)

    monkeypatch.setattr(rpc.service, "start", record)
    members = [member("aria2.addUri", "token:ann", [URL], {"pause": "true"}) for _ in range(998)]
    single = Call(method="aria2.addUri", params=["token:ann", [URL], {"pause": "true"}])
    first, many, last = await perform(rpc, single, Call(method="system.multicall", params=[members]), single)
    assert starts == [1000]
    gids = {first.result, last.result, *(result for (result,) in many.result)}
    assert len(gids) == 1000
    assert (await rpc.call("getGlobalStat"))["numWaiting"] == "1000"


async def test_no_calls_have_no_outcomes(rpc: RpcStack) -> None:
    assert await perform(rpc) == []


async def test_results_are_never_empty(rpc: RpcStack) -> None:
    """AriaNg ignores them over WebSocket."""
    for method in ("pauseAll", "forcePauseAll", "unpauseAll", "purgeDownloadResult", "saveSession"):
        assert await rpc.call(method) == "OK"
    assert await rpc.call("changeGlobalOption", {}) == "OK"


NAMES = [*METHODS, *NAME_LISTS, "system.multicall", "nope", ""]
TEXTS = st.text(max_size=8) | st.sampled_from(["token:ann", "token:viewer", URL, "POS_SET", "1", "abc", "\ud800"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS | st.binary(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(TEXTS | st.sampled_from(["methodName", "params", "dir", "header"]), inner, max_size=3)
    ),
    max_leaves=10,
)
CALLS = st.builds(
    Call,
    method=st.sampled_from(NAMES) | st.text(max_size=5),
    params=st.lists(VALUES, max_size=6) | st.lists(VALUES, max_size=5).map(lambda params: ["token:ann", *params]),
)


async def test_whatever_is_called_has_a_result_or_an_error(rpc: RpcStack) -> None:
    loop = asyncio.get_running_loop()

    @settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(CALLS, max_size=4))
    def check(calls: list[Call]) -> None:
        outcomes = asyncio.run_coroutine_threadsafe(rpc.methods.call_all(calls, request_id=None), loop).result(30)
        assert len(outcomes) == len(calls)
        for outcome in outcomes:
            if outcome.error is None:
                assert outcome.result is not None
                continue
            assert outcome.error.code == 1
            assert outcome.error.message.encode()
            assert "defect" not in outcome.error.message

    await asyncio.to_thread(check)
