"""Calls that are performed together."""

import asyncio
from base64 import b64encode
from typing import Any

import pytest
from support.rpc_stack import DIRECTORIES, USERS, RpcStack

from downloadd.errors import ShuttingDownError
from downloadd.fronts.aria2.calls import Call, Outcome
from downloadd.fronts.aria2.methods import batch
from downloadd.users import User

URL = "http://127.0.0.1:1025/a"
METALINK = b64encode(
    b'<metalink xmlns="urn:ietf:params:xml:ns:metalink">'
    b'<file name="m1"><url>http://127.0.0.1:1025/1</url></file>'
    b'<file name="m2"><url>http://127.0.0.1:1025/2</url></file></metalink>'
).decode()


def add(name: str, *, token: str = "ann", **options: str) -> Call:
    return Call(method="aria2.addUri", params=[f"token:{token}", [URL], {"pause": "true", "out": name, **options}])


def call(method: str, *params: Any, token: str | None = "ann") -> Call:
    return Call(method=method, params=[*([] if token is None else [f"token:{token}"]), *params])


class Starts:
    """Record of the calls of `DownloadService.start`."""

    def __init__(self, rpc: RpcStack, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sizes: list[int] = []
        self.failure: Exception | None = None
        start = rpc.service.start

        async def record(user: User, requests: Any, **others: Any) -> Any:
            self.sizes.append(len(requests))
            if self.failure is not None:
                raise self.failure
            return await start(user, requests, **others)

        monkeypatch.setattr(rpc.service, "start", record)


@pytest.fixture
def starts(rpc: RpcStack, monkeypatch: pytest.MonkeyPatch) -> Starts:
    return Starts(rpc, monkeypatch)


async def perform(rpc: RpcStack, *calls: Call) -> list[Outcome]:
    return await rpc.methods.call_all(calls, request_id="r")


def shown(outcomes: list[Outcome]) -> list[Any]:
    return [outcome.error.message if outcome.error is not None else outcome.result for outcome in outcomes]


# -- tokens ------------------------------------------------------------------------------------------------------------


async def test_without_the_right_token_a_call_is_unauthorized(rpc: RpcStack) -> None:
    for method in ("aria2.getVersion", "aria2.nope", "nope", "system.nope", "aria2.addUri"):
        for token in (None, "wrong", ""):
            (outcome,) = await perform(rpc, call(method, [URL], token=token))
            assert outcome.user is None
            assert outcome.error is not None
            assert (outcome.error.code, outcome.error.message) == (1, "Unauthorized")


UNKNOWN: list[str] = ["aria2.nope", "nope", "system.nope"]


async def test_an_unknown_method_is_named_with_the_right_token(rpc: RpcStack) -> None:
    for method in UNKNOWN:
        assert shown(await perform(rpc, call(method))) == [f"No such method: {method}"]


@pytest.mark.parametrize("token", [None, "wrong", "ann"])
async def test_names_are_listed_with_any_token_or_none(rpc: RpcStack, token: str | None) -> None:
    methods, notifications = await perform(
        rpc, call("system.listMethods", token=token), call("system.listNotifications", token=token)
    )
    assert len(methods.result) == 36
    assert len(notifications.result) == 6
    assert methods.user == (None if token is None else USERS.get(token))


async def test_an_outcome_has_the_user_also_if_the_call_failed(rpc: RpcStack) -> None:
    good, bad = await perform(rpc, call("aria2.getVersion"), call("aria2.tellStatus", "x", token="viewer"))
    assert (good.user, bad.user) == (USERS["ann"], USERS["viewer"])


async def test_each_token_is_checked_once(rpc: RpcStack, monkeypatch: pytest.MonkeyPatch) -> None:
    checked: list[str] = []

    def authenticate(token: str) -> User | None:
        checked.append(token)
        return USERS.get(token)

    monkeypatch.setattr(rpc.methods, "_authenticate", authenticate)
    await perform(rpc, *([call("aria2.getVersion")] * 3), *([call("aria2.getVersion", token="wrong")] * 3))
    assert checked == ["ann", "wrong"]


# -- order and groups --------------------------------------------------------------------------------------------------


async def test_neighbouring_calls_that_add_are_one_transaction(rpc: RpcStack, starts: Starts) -> None:
    outcomes = await perform(
        rpc,
        add("a"),
        add("b", split="0"),
        call("aria2.addMetalink", METALINK, {"pause": "true"}),
        call("aria2.getVersion", token="wrong"),
        add("c"),
    )
    assert starts.sizes == [4]
    gids = [outcomes[0].result, *outcomes[2].result, outcomes[4].result]
    names = [(await rpc.find(gid)).download.filename for gid in gids]
    assert names == ["a", "m1", "m2", "c"]
    assert shown(outcomes)[1] == "We encountered a problem while processing the option '--split'."
    assert shown(outcomes)[3] == "Unauthorized"


async def test_other_calls_are_performed_between_them(rpc: RpcStack, starts: Starts) -> None:
    first, stat, _, second = shown(
        await perform(
            rpc, add("a"), call("aria2.getGlobalStat"), call("aria2.changeGlobalOption", {"dir": "d"}), add("b")
        )
    )
    assert starts.sizes == [1, 1]
    assert stat["numWaiting"] == "1"
    paths = [(await rpc.find(gid)).download.file_path for gid in (first, second)]
    assert paths == ["a", "d/b"]


async def test_users_are_not_mixed(rpc: RpcStack, starts: Starts) -> None:
    gids = shown(await perform(rpc, add("a"), add("b", token="carl"), add("c", token="carl")))
    assert starts.sizes == [1, 2]
    assert [(await rpc.find(gid)).download.user for gid in gids] == ["ann", "carl", "carl"]


async def test_a_directory_of_others_does_not_refuse_the_other_calls(rpc: RpcStack, starts: Starts) -> None:
    first, second, third = await perform(
        rpc, add("a", token="carl"), add("b", token="carl", dir="anns"), add("c", token="carl")
    )
    assert first.error is third.error is None
    assert second.error is not None
    assert "anns" in second.error.message
    assert starts.sizes == [3, 1, 1, 1]


async def test_a_refused_download_does_not_refuse_the_others(rpc: RpcStack, starts: Starts) -> None:
    bad = Call(method="aria2.addUri", params=["token:ann", ["http://10.1.2.3/a"]])
    first, refused, second = await perform(rpc, add("a"), bad, add("b"))
    assert starts.sizes == [3]
    assert first.error is second.error is None
    assert refused.error is not None
    assert await rpc.call("tellStopped", 0, 10) == []


async def test_a_large_batch_is_started_in_parts(
    rpc: RpcStack, starts: Starts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "MAX_STARTS", 2)
    outcomes = await perform(rpc, *(add(str(number)) for number in range(5)))
    assert starts.sizes == [2, 2, 1]
    assert len(set(shown(outcomes))) == 5


async def test_a_batch_has_a_limit_of_listed_downloads(rpc: RpcStack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "MAX_LISTED", 3)
    await perform(rpc, add("a"), add("b"))
    lists = shown(await perform(rpc, *([call("aria2.tellWaiting", 0, 9)] * 3)))
    assert [len(rows) for rows in lists[:2]] == [2, 2]
    assert "send it on its own" in lists[2]


async def test_an_error_of_the_start_is_that_of_each_call(rpc: RpcStack, starts: Starts) -> None:
    starts.failure = ShuttingDownError()
    outcomes = await perform(rpc, add("a"), add("b"))
    assert shown(outcomes) == ["the server is stopping; try again in a few seconds"] * 2


async def test_a_daemon_that_may_not_fetch_says_so(rpc: RpcStack) -> None:
    rpc.rights.configure(directories=DIRECTORIES, is_enabled=False)
    assert shown(await perform(rpc, add("a"))) == [
        "the daemon was started without --allow-download (downloads.enabled)"
    ]


async def test_a_defect_is_the_error_of_its_call_and_is_logged(
    rpc: RpcStack, starts: Starts, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def crash(*_: Any) -> Any:
        raise ZeroDivisionError

    starts.failure = ZeroDivisionError()
    monkeypatch.setattr(rpc.stack.queue, "page", crash)
    outcomes = await perform(rpc, add("a"), call("aria2.tellWaiting", 0, 1), call("aria2.getVersion"))
    assert shown(outcomes)[:2] == ["the server failed because of a defect; its log has the details"] * 2
    assert outcomes[2].error is None


async def test_other_work_goes_on_during_a_large_batch(rpc: RpcStack) -> None:
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.get_running_loop().create_task(count_turns())
    await perform(rpc, *([call("aria2.getVersion")] * 500))
    counting.cancel()
    assert turns >= 500 // batch.CALLS_PER_TURN
