"""Methods that remove, pause and unpause downloads."""

import pytest
from support.origin.origin import Origin
from support.rpc_stack import RpcStack

REMOVE = ["remove", "forceRemove"]
PAUSE = ["pause", "forcePause"]
ALL = ["pauseAll", "forcePauseAll"]


async def add(rpc: RpcStack, origin: Origin, path: str = "/slow", **options: str) -> str:
    gid: str = await rpc.call("addUri", [origin.url(path)], options)
    return gid


async def status(rpc: RpcStack, gid: str) -> str:
    return str((await rpc.call("tellStatus", gid, ["status"]))["status"])


@pytest.mark.parametrize("method", REMOVE)
async def test_an_active_download_is_removed(rpc: RpcStack, origin: Origin, method: str) -> None:
    gid = await add(rpc, origin)
    await rpc.receives(gid)
    assert await rpc.call(method, gid) == gid
    ended = await rpc.call("tellStatus", gid)
    assert (ended["status"], ended["errorCode"]) == ("removed", "31")
    assert rpc.stack.files() == {}


@pytest.mark.parametrize("method", REMOVE)
async def test_a_paused_download_is_removed(rpc: RpcStack, origin: Origin, method: str) -> None:
    gid = await add(rpc, origin, pause="true")
    assert await rpc.call(method, gid) == gid
    assert await status(rpc, gid) == "removed"


@pytest.mark.parametrize("method", REMOVE)
async def test_an_ended_download_cannot_be_removed(rpc: RpcStack, origin: Origin, method: str) -> None:
    gid = await add(rpc, origin, "/a")
    await rpc.reaches(gid, "complete")
    assert await rpc.refusal(method, gid) == f"Active Download not found for GID#{gid}"


@pytest.mark.parametrize("method", PAUSE)
async def test_a_paused_download_continues_with_its_bytes(rpc: RpcStack, origin: Origin, method: str) -> None:
    gid = await add(rpc, origin)
    await rpc.receives(gid)
    assert await rpc.call(method, gid) == gid
    assert await status(rpc, gid) == "paused"
    assert await rpc.refusal(method, gid) == f"GID#{gid} cannot be paused now"
    assert await rpc.call("unpause", gid) == gid
    assert await rpc.refusal("unpause", gid) == f"GID#{gid} cannot be unpaused now"
    await origin.wait_requested("/slow", 2)
    assert origin.requests("/slow")[-1].field("range")


async def test_a_waiting_download_is_paused_and_unpaused(single: RpcStack, origin: Origin) -> None:
    await single.receives(await add(single, origin))
    gid = await add(single, origin)
    assert await status(single, gid) == "waiting"
    assert await single.refusal("unpause", gid) == f"GID#{gid} cannot be unpaused now"
    assert await single.call("pause", gid) == gid
    assert await status(single, gid) == "paused"
    assert await single.call("unpause", gid) == gid
    assert await status(single, gid) == "waiting"


async def test_a_pause_frees_the_slot(single: RpcStack, origin: Origin) -> None:
    first, second = [await add(single, origin) for _ in range(2)]
    await single.receives(first)
    await single.call("pause", first)
    await single.receives(second)


async def test_an_ended_download_cannot_be_paused(rpc: RpcStack, origin: Origin) -> None:
    gid = await add(rpc, origin, "/a")
    await rpc.reaches(gid, "complete")
    assert await rpc.refusal("pause", gid) == f"GID#{gid} cannot be paused now"
    assert await rpc.refusal("unpause", gid) == f"GID#{gid} cannot be unpaused now"


@pytest.mark.parametrize("method", ALL)
async def test_all_downloads_are_paused_and_unpaused(single: RpcStack, origin: Origin, method: str) -> None:
    assert await single.call(method) == "OK"
    assert await single.call("unpauseAll") == "OK"
    gids = [await add(single, origin) for _ in range(3)]
    await single.receives(gids[0])
    assert await single.call(method) == "OK"
    for gid in gids:
        await single.reaches(gid, "paused")
    assert await single.call("unpauseAll") == "OK"
    await single.reaches(gids[0], "active")
    assert [await status(single, gid) for gid in gids[1:]] == ["waiting", "waiting"]


async def test_downloads_of_others_stay(rpc: RpcStack) -> None:
    gid = await rpc.call("addUri", ["http://127.0.0.1:1025/a"], {"dir": "anns", "pause": "true"})
    assert await rpc.call("unpauseAll", token="carl") == "OK"
    assert await status(rpc, gid) == "paused"
    for method in ("unpause", "remove"):
        assert "anns" in await rpc.refusal(method, gid, token="carl")


async def test_a_gid_may_be_a_prefix_in_upper_case(rpc: RpcStack) -> None:
    gid = await rpc.call("addUri", ["http://127.0.0.1:1025/a"], {"pause": "true", "gid": "abcdef0123456789"})
    assert await rpc.call("remove", "ABCDEF0123") == gid
