"""Methods that read downloads."""

from typing import Any

import pytest
from fronts.aria2.conftest import SIZE
from support.origin.origin import Origin
from support.rpc_stack import RpcStack

from downloadd.fronts.aria2.methods import reading

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


async def test_an_ended_download_has_files_only(rpc: RpcStack, origin: Origin) -> None:
    gid = await rpc.call("addUri", [origin.url("/a")])
    await rpc.reaches(gid, "complete")
    assert (await rpc.call("getFiles", gid))[0]["completedLength"] == str(SIZE)
    assert await rpc.refusal("getUris", gid) == f"No URI data is available for GID#{gid}"
    assert await rpc.refusal("getServers", gid) == f"No active download for GID#{gid}"
    assert await rpc.refusal("getPeers", gid) == f"No peer data is available for GID#{gid}"


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
