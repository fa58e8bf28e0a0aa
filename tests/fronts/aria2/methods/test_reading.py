"""Methods that read downloads."""

from typing import Any

import pytest
from fronts.aria2.conftest import SIZE
from support.origin.origin import Origin
from support.origin.scripted_response import ScriptedResponse, redirect
from support.rpc_stack import USERS, RpcStack
from support.waiting import wait_until

from downloadd.fronts.aria2.methods import reading
from downloadd.manager import lifecycle
from downloadd.manager.protocol import DownloadChange

URL = "http://127.0.0.1:1025/a"


async def pause(rpc: RpcStack, count: int) -> list[str]:
    return [await rpc.call("addUri", [URL], {"pause": "true", "out": f"f{number}"}) for number in range(count)]


async def fail(rpc: RpcStack, origin: Origin, count: int) -> list[str]:
    gids = []
    for _ in range(count):
        gids.append(await rpc.call("addUri", [origin.url("/missing")]))
        await rpc.reaches(gids[-1], "error")
    return gids


def gids_of(rows: list[dict[str, Any]]) -> list[str]:
    return [row["gid"] for row in rows]


# -- lists -------------------------------------------------------------------------------------------------------------

WINDOWS = [
    ((0, 2), [0, 1]),
    ((3, 10), [3, 4]),
    ((5, 1), []),
    ((0, 0), []),
    ((0, 1.9), [0]),
    ((-1, 3), [4, 3, 2]),
    ((-2, 2), [3, 2]),
    ((-5, 9), [0]),
    ((-6, 9), []),
    ((-1, 1000), [4, 3, 2, 1, 0]),
    ((0, 10**30), [0, 1, 2, 3, 4]),
]


async def test_waiting_downloads_are_listed_by_windows(rpc: RpcStack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "BATCH_ROWS", 2)
    gids = await pause(rpc, 5)
    for window, expected in WINDOWS:
        assert gids_of(await rpc.call("tellWaiting", *window)) == [gids[index] for index in expected], window


async def test_ended_downloads_are_listed_by_windows_oldest_first(rpc: RpcStack, origin: Origin) -> None:
    gids = await fail(rpc, origin, 5)
    for window, expected in WINDOWS:
        assert gids_of(await rpc.call("tellStopped", *window)) == [gids[index] for index in expected], window


NO_WINDOWS: list[tuple[tuple[Any, ...], str]] = [
    ((), "The parameter at 0 is required but missing."),
    (("x",), "The parameter at 0 has wrong type."),
    ((0,), "The parameter at 1 is required but missing."),
    ((0, "x"), "The parameter at 1 has wrong type."),
    ((0, -1), "The integer parameter at 1 has invalid value: the value must be greater than or equal to 0."),
    ((0, 1, "x"), "The parameter at 2 has wrong type."),
    ((0, 1, None), "The parameter at 2 has wrong type."),
]


async def test_a_window_has_two_integers_and_keys(rpc: RpcStack) -> None:
    for method in ("tellWaiting", "tellStopped"):
        for params, message in NO_WINDOWS:
            assert await rpc.refusal(method, *params) == message


async def test_lists_have_the_keys_that_are_asked_for(rpc: RpcStack, origin: Origin) -> None:
    (waiting,) = await pause(rpc, 1)
    (ended,) = await fail(rpc, origin, 1)
    active = await rpc.call("addUri", [origin.url("/slow")])
    await rpc.receives(active)
    keys = ["gid", "status", "foo", 1]
    assert await rpc.call("tellWaiting", 0, 9, keys) == [{"gid": waiting, "status": "paused"}]
    assert await rpc.call("tellStopped", 0, 9, keys, "more") == [{"gid": ended, "status": "error"}]
    assert await rpc.call("tellActive", keys) == [{"gid": active, "status": "active"}]
    assert await rpc.call("tellActive") == await rpc.call("tellActive", []) != []


async def test_each_download_is_in_one_list(single: RpcStack, origin: Origin) -> None:
    active = await single.call("addUri", [origin.url("/slow")])
    await single.receives(active)
    waiting = await single.call("addUri", [origin.url("/slow")])
    (paused,) = await pause(single, 1)
    assert gids_of(await single.call("tellActive")) == [active]
    assert gids_of(await single.call("tellWaiting", 0, 9)) == [waiting, paused]
    assert await single.call("tellStopped", 0, 9) == []


async def test_an_active_download_shows_its_progress(rpc: RpcStack, origin: Origin) -> None:
    gid = await rpc.call("addUri", [origin.url("/slow")])
    await rpc.receives(gid)
    (row,) = await rpc.call("tellActive")
    assert (row["gid"], row["status"], row["totalLength"], row["connections"]) == (gid, "active", str(SIZE), "1")
    assert row["numPieces"] == "1"
    assert row["files"][0]["uris"] == [{"uri": origin.url("/slow"), "status": "used"}]


async def test_keys_are_a_list(rpc: RpcStack) -> None:
    values: list[Any] = ["x", None, {}]
    for value in values:
        assert await rpc.refusal("tellActive", value) == "The parameter at 0 has wrong type."
        assert await rpc.refusal("tellStatus", "1", value) == "The parameter at 1 has wrong type."


# -- one download ------------------------------------------------------------------------------------------------------


async def test_a_failed_download_has_its_code(rpc: RpcStack, origin: Origin) -> None:
    (gid,) = await fail(rpc, origin, 1)
    status = await rpc.call("tellStatus", gid)
    assert (status["errorCode"], status["errorMessage"]) == ("3", "the origin answered 404")


async def test_the_parts_of_one_download(single: RpcStack, origin: Origin) -> None:
    active = await single.call("addUri", [origin.url("/slow")])
    await single.receives(active)
    waiting = await single.call("addUri", [origin.url("/slow"), URL])
    for gid, status in ((active, "used"), (waiting, "waiting")):
        files = await single.call("getFiles", gid)
        assert files == (await single.call("tellStatus", gid))["files"]
        assert files[0]["uris"] == await single.call("getUris", gid)
        assert files[0]["uris"][0] == {"uri": origin.url("/slow"), "status": status}
        assert await single.call("getPeers", gid) == []
    (server,) = (await single.call("getServers", active))[0]["servers"]
    assert (server["uri"], server["currentUri"]) == (origin.url("/slow"), origin.url("/slow"))
    assert await single.refusal("getServers", waiting) == f"No active download for GID#{waiting}"


async def test_the_server_of_a_redirected_download_is_the_one_that_sends(rpc: RpcStack, origin: Origin) -> None:
    origin.script("/link", redirect(origin.url("/slow?Signature=secret")))
    gid = await rpc.call("addUri", [origin.url("/link")])
    await rpc.receives(gid)
    for token in ("ann", "viewer"):
        (server,) = (await rpc.call("getServers", gid, token=token))[0]["servers"]
        assert server["uri"] == origin.url("/link")
        assert server["currentUri"].startswith(origin.url("/slow"))
        assert ("secret" in server["currentUri"]) == (token == "ann")


async def test_an_ended_download_has_files_only(rpc: RpcStack, origin: Origin) -> None:
    gid = await rpc.call("addUri", [origin.url("/a")])
    await rpc.reaches(gid, "complete")
    assert (await rpc.call("getFiles", gid))[0]["completedLength"] == str(SIZE)
    assert await rpc.refusal("getUris", gid) == f"No URI data is available for GID#{gid}"
    assert await rpc.refusal("getServers", gid) == f"No active download for GID#{gid}"
    assert await rpc.refusal("getPeers", gid) == f"No peer data is available for GID#{gid}"


async def test_the_secrets_of_a_uri_leave_with_the_completion(rpc: RpcStack, origin: Origin) -> None:
    with_password = origin.url("/a").replace("://", "://user:secret@")
    gid = await rpc.call("addUri", [with_password], {"pause": "true"})
    for is_complete in (False, True):
        if is_complete:
            await rpc.call("unpause", gid)
            await rpc.reaches(gid, "complete")
        (file,) = await rpc.call("getFiles", gid)
        assert file["uris"][0]["uri"] == (origin.url("/a") if is_complete else with_password)


# -- counts ------------------------------------------------------------------------------------------------------------


async def test_downloads_are_counted(single: RpcStack, origin: Origin) -> None:
    zero = dict.fromkeys(
        ("downloadSpeed", "uploadSpeed", "numActive", "numWaiting", "numStopped", "numStoppedTotal"), "0"
    )
    assert await single.call("getGlobalStat") == zero
    await fail(single, origin, 2)
    await single.call("purgeDownloadResult")
    await fail(single, origin, 1)
    active = await single.call("addUri", [origin.url("/slow")])
    await single.receives(active)
    await single.call("addUri", [origin.url("/slow")])
    await pause(single, 2)
    stat = await single.call("getGlobalStat")
    assert {name: value for name, value in stat.items() if name.startswith("num")} == {
        "numActive": "1",
        "numWaiting": "3",
        "numStopped": "1",
        "numStoppedTotal": "3",
    }


# -- changes -----------------------------------------------------------------------------------------------------------


class Polls:
    """Polls of both lists, each of which is compared with what the downloads themselves say."""

    def __init__(self, rpc: RpcStack) -> None:
        self._rpc = rpc

    async def read(self, method: str, *window: int) -> list[str]:
        """Return the gids of a list, which is polled with several keys and by users who see different URLs."""
        gids: list[str] = []
        for token in ("ann", "viewer"):
            for keys in ([], ["gid", "status", "files"], ["gid"]):
                rows = await self._rpc.call(method, *window, keys, token=token)
                gids = gids_of(rows)
                assert rows == [await self._rpc.call("tellStatus", gid, keys, token=token) for gid in gids]
        return gids

    async def waiting(self) -> list[str]:
        """Return the waiting list."""
        gids = await self.read("tellWaiting", 0, 1000)
        assert await self.read("tellWaiting", -1, 1000) == gids[::-1]
        return gids

    async def stopped(self) -> list[str]:
        """Return the results."""
        gids = await self.read("tellStopped", 0, 1000)
        assert await self.read("tellStopped", -1, 1000) == gids[::-1]
        return gids


async def test_each_change_of_the_waiting_list_is_seen_by_the_next_poll(single: RpcStack, origin: Origin) -> None:
    rpc, polls = single, Polls(single)
    active = await rpc.call("addUri", [origin.url("/slow")])
    await rpc.receives(active)
    assert await polls.waiting() == []
    first, second = [await rpc.call("addUri", [URL]) for _ in range(2)]
    assert await polls.waiting() == [first, second]
    top = await rpc.call("addUri", [URL], {}, 0)
    assert await polls.waiting() == [top, first, second]
    assert await rpc.call("changePosition", second, 0, "POS_SET") == 0
    assert await polls.waiting() == [second, top, first]
    for method in ("pause", "unpause"):
        await rpc.call(method, first)
        assert await polls.waiting() == [second, top, first]
    await rpc.call("changeOption", first, {"dir": "elsewhere", "out": "name"})
    assert await polls.waiting() == [second, top, first]
    await rpc.call("changeUri", first, 1, [], [URL + "2"])
    assert await polls.waiting() == [second, top, first]
    id = (await rpc.find(first)).download.id
    await rpc.service.amend(USERS["ann"], id, DownloadChange(priority=1))
    assert await polls.waiting() == [first, second, top]
    await rpc.call("remove", top)
    assert await polls.waiting() == [first, second]
    assert await polls.stopped() == [top]
    # The active one moves into the list.
    await rpc.call("pauseAll")
    assert await polls.waiting() == [first, second, active]
    await rpc.call("changeUri", active, 1, [origin.url("/slow")], [origin.url("/a")])
    assert await polls.waiting() == [first, second, active]
    await rpc.call("remove", first)
    await rpc.call("remove", second)
    await rpc.call("unpause", active)
    await rpc.reaches(active, "complete")
    assert await polls.waiting() == []
    assert await polls.stopped() == [top, first, second, active]


async def test_each_change_of_the_results_is_seen_by_the_next_poll(rpc: RpcStack, origin: Origin) -> None:
    polls = Polls(rpc)
    assert await polls.stopped() == []
    first, second, third = await fail(rpc, origin, 3)
    assert await polls.stopped() == [first, second, third]
    await rpc.call("removeDownloadResult", second)
    assert await polls.stopped() == [first, third]
    id = (await rpc.find(first)).download.id
    await rpc.service.retry(USERS["ann"], id)
    await rpc.reaches(first, "error")
    assert await polls.stopped() == [third, first]
    await rpc.service.remove(USERS["ann"], id, with_file=False)
    assert await polls.stopped() == [third]
    await rpc.call("purgeDownloadResult")
    assert await polls.stopped() == []
    assert await rpc.call("getGlobalStat") | {"numStopped": "0", "numStoppedTotal": "2"} == await rpc.call(
        "getGlobalStat"
    )


async def test_a_running_download_that_is_being_paused_shows_its_progress(rpc: RpcStack, origin: Origin) -> None:
    origin.script("/steady", ScriptedResponse(size=50_000_000, rate=1_000_000))
    gid = await rpc.call("addUri", [origin.url("/steady")])
    await rpc.receives(gid)
    # The row alone is changed, so that the run goes on.
    await rpc.stack.records.amend((await rpc.find(gid)).download.id, lifecycle.pause)

    async def received() -> int:
        (row,) = await rpc.call("tellWaiting", 0, 10, ["completedLength"])
        return int(row["completedLength"])

    before = await received()

    async def has_more() -> bool:
        return await received() > before

    await wait_until(has_more, every=0.01)


async def test_a_poll_needs_its_permission_each_time(rpc: RpcStack) -> None:
    await pause(rpc, 1)
    for method in ("tellWaiting", "tellStopped"):
        for token in ("ann", "importer", "viewer", "importer"):
            if token == "importer":
                assert "permission" in await rpc.refusal(method, 0, 10, token=token)
            else:
                assert len(await rpc.call(method, 0, 10, token=token)) == (method == "tellWaiting")


async def test_only_users_who_may_start_downloads_see_the_secrets_of_urls(rpc: RpcStack) -> None:
    await rpc.call("addUri", ["http://user:secret@127.0.0.1:1025/a"], {"pause": "true"})
    for _ in range(2):
        for token, is_shown in (("ann", True), ("viewer", False)):
            assert ("secret" in str(await rpc.call("tellWaiting", 0, 10, token=token))) == is_shown
