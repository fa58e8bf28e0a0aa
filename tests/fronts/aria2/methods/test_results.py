"""Methods that clear the list of results."""

from pathlib import Path

from support.origin.origin import Origin
from support.rpc_stack import RpcStack, open_rpc


async def complete(rpc: RpcStack, origin: Origin, path: str = "/a") -> str:
    gid: str = await rpc.call("addUri", [origin.url(path)])
    await rpc.reaches(gid, "complete", "error")
    return gid


async def stopped(rpc: RpcStack) -> list[str]:
    return [row["gid"] for row in await rpc.call("tellStopped", 0, 100, ["gid"])]


async def test_one_result_is_removed_and_its_file_stays(rpc: RpcStack, origin: Origin) -> None:
    gids = [await complete(rpc, origin) for _ in range(3)]
    assert await rpc.call("removeDownloadResult", gids[1]) == "OK"
    assert await stopped(rpc) == [gids[0], gids[2]]
    assert await rpc.refusal("tellStatus", gids[1]) == f"GID {gids[1]} is not found"
    assert await rpc.refusal("removeDownloadResult", gids[1]) == f"GID {gids[1]} is not found"
    assert len(rpc.stack.files()) == 3
    assert len(await rpc.history()) == 3


async def test_the_result_of_an_active_download_cannot_be_removed(rpc: RpcStack, origin: Origin) -> None:
    active = await rpc.call("addUri", [origin.url("/slow")])
    paused = await rpc.call("addUri", [origin.url("/slow")], {"pause": "true"})
    for gid in (active, paused):
        assert await rpc.refusal("removeDownloadResult", gid) == f"Could not remove download result of GID#{gid}"


async def test_all_results_so_far_are_purged(rpc: RpcStack, origin: Origin, tmp_path: Path) -> None:
    assert await rpc.call("purgeDownloadResult") == "OK"
    before = [await complete(rpc, origin, path) for path in ("/a", "/missing")]
    active = await rpc.call("addUri", [origin.url("/slow")])
    assert await rpc.call("purgeDownloadResult") == "OK"
    assert await stopped(rpc) == []
    assert (await rpc.call("getGlobalStat"))["numStopped"] == "0"
    for gid in before:
        assert await rpc.refusal("tellStatus", gid) == f"GID {gid} is not found"
    after = await complete(rpc, origin)
    assert await stopped(rpc) == [after]
    assert (await rpc.call("tellStatus", active))["status"] == "active"
    assert len(await rpc.history()) == 3


async def test_what_was_cleared_stays_so_after_a_restart(tmp_path: Path, origin: Origin) -> None:
    async with open_rpc(tmp_path) as rpc:
        purged = await complete(rpc, origin)
        await rpc.call("purgeDownloadResult")
        removed, kept = [await complete(rpc, origin) for _ in range(2)]
        await rpc.call("removeDownloadResult", removed)
    async with open_rpc(tmp_path) as rpc:
        assert await stopped(rpc) == [kept]
        for gid in (purged, removed):
            assert await rpc.refusal("tellStatus", gid) == f"GID {gid} is not found"
