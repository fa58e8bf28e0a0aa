"""Changes of active downloads."""

import asyncio

import pytest
from support.origin.origin import Origin
from support.origin.scripted_response import ScriptedResponse
from support.rpc_stack import RpcStack

SIZE = 200_000


async def start(rpc: RpcStack, origin: Origin, **options: str) -> str:
    gid: str = await rpc.call("addUri", [origin.url("/slow")], options)
    await rpc.receives(gid)
    return gid


async def test_request_fields_of_an_active_download_restart_its_transfer(rpc: RpcStack, origin: Origin) -> None:
    gid = await start(rpc, origin)
    assert await rpc.call("changeOption", gid, {"header": "X-A: b"}) == "OK"
    await origin.wait_requested("/slow", 2)
    first, second = origin.requests("/slow")
    assert (first.field("x-a"), second.field("x-a")) == (None, "b")
    assert second.field("range")
    await rpc.reaches(gid, "active")


async def test_a_restart_is_not_told(rpc: RpcStack, origin: Origin) -> None:
    told: list[tuple[str, str]] = []
    # The rest that the second request asks for stalls too.
    origin.script(
        "/slow", [ScriptedResponse(size=SIZE, etag='"a"', stall_after=nbytes) for nbytes in (50_000, 100_000)]
    )
    with rpc.stack.bus.subscribe() as events:
        gid = await start(rpc, origin)
        await rpc.call("changeOption", gid, {"header": "X-A: b"})
        await origin.wait_requested("/slow", 2)
        await rpc.call("pause", gid)
        while len(told) < 2:
            for published in await events.receive():
                notification = rpc.methods.notification_of(published.event)
                if notification is not None:
                    told.append((notification.method.value, notification.gid))
    assert told == [("aria2.onDownloadStart", gid), ("aria2.onDownloadPause", gid)]


async def test_a_change_that_is_refused_leaves_the_download_active(rpc: RpcStack, origin: Origin) -> None:
    gid = await start(rpc, origin)
    assert "10.1.2.3" in await rpc.refusal("changeUri", gid, 1, [], ["http://10.1.2.3/a"])
    await rpc.reaches(gid, "active")
    assert len(origin.requests("/slow")) == 1


@pytest.mark.parametrize("changes", [{"header": "X-A: b"}, {"out": "f"}, {"dir": "d"}])
async def test_a_change_at_the_end_is_made_or_refused(rpc: RpcStack, origin: Origin, changes: dict[str, str]) -> None:
    gids = [await rpc.call("addUri", [origin.url("/a")]) for _ in range(5)]

    changed = await asyncio.gather(*(rpc.call("changeOption", gid, changes) for gid in gids), return_exceptions=True)
    for gid, result in zip(gids, changed, strict=True):
        assert str(result).startswith(("OK", f"Cannot change option for GID#{gid}"))
    for gid in gids:
        await rpc.reaches(gid, "complete")
