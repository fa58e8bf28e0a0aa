"""Methods that read and change options."""

import asyncio
from typing import Any

import pytest
from support.origin.origin import Origin
from support.origin.scripted_response import ScriptedResponse
from support.rpc_stack import RpcStack

from downloadd.config import DownloadsConfig, LimitConfig
from downloadd.states import State

URL = "http://127.0.0.1:1025/a"
GIVEN = {
    "dir": "d",
    "out": "f",
    "split": "4",
    "max-download-limit": "100K",
    "header": ["A: b", "C: d"],
    "referer": "http://r/",
    "user-agent": "x/1",
    "http-user": "u",
    "http-passwd": "p",
    "checksum": f"md5={'0' * 32}",
    "max-tries": "3",
    "retry-wait": "4",
    "timeout": "5",
    "connect-timeout": "6",
    "lowest-speed-limit": "7",
    "auto-file-renaming": "false",
}


async def add(rpc: RpcStack, **options: Any) -> str:
    given = {name.replace("_", "-"): value for name, value in options.items()}
    gid: str = await rpc.call("addUri", [URL], {"pause": "true", **given})
    return gid


# -- getOption ---------------------------------------------------------------------------------------------------------


async def test_options_are_what_was_given(rpc: RpcStack) -> None:
    options = await rpc.call("getOption", await add(rpc, **GIVEN))
    expected = {**GIVEN, "dir": f"{rpc.root}/d", "max-download-limit": "102400", "header": "A: b\nC: d\n"}
    assert {name: options[name] for name in expected} == expected
    assert not {"gid", "pause"} & options.keys()
    assert all(isinstance(text, str) for text in options.values())


async def test_the_answer_is_taken_back(rpc: RpcStack) -> None:
    first = await add(rpc, **GIVEN)
    options = await rpc.call("getOption", first)
    second = await rpc.call("addUri", [URL], {**options, "pause": "true"})
    assert await rpc.call("getOption", second) == options
    assert (await rpc.find(second)).download.request == (await rpc.find(first)).download.request


async def test_request_fields_are_shown_only_to_the_user_who_gave_them(rpc: RpcStack) -> None:
    gid = await add(rpc, **GIVEN)
    for token in ("carl", "viewer"):
        options = await rpc.call("getOption", gid, token=token)
        assert not {"header", "referer", "http-user", "http-passwd"} & options.keys()
        assert options["split"] == "4"


async def test_an_ended_download_has_options_for_its_retry(rpc: RpcStack, origin: Origin) -> None:
    gid = await rpc.call("addUri", [origin.url("/missing")], {"header": "A: b"})
    await rpc.reaches(gid, "error")
    assert (await rpc.call("getOption", gid))["header"] == "A: b\n"


# -- changeOption ------------------------------------------------------------------------------------------------------


async def test_options_of_a_paused_download_are_changed(rpc: RpcStack) -> None:
    gid = await add(rpc)
    assert await rpc.call("changeOption", gid, GIVEN) == "OK"
    options = await rpc.call("getOption", gid)
    expected = {**GIVEN, "dir": f"{rpc.root}/d", "max-download-limit": "102400", "header": "A: b\nC: d\n"}
    assert {name: options[name] for name in expected} == expected
    assert (await rpc.call("getFiles", gid))[0]["path"] == f"{rpc.root}/d/f"


async def test_the_own_answer_changes_nothing(rpc: RpcStack) -> None:
    gid = await add(rpc, **GIVEN)
    before = (await rpc.find(gid)).download
    assert await rpc.call("changeOption", gid, await rpc.call("getOption", gid)) == "OK"
    assert await rpc.call("changeOption", gid, {}) == "OK"
    assert (await rpc.find(gid)).download == before


async def test_the_speed_of_an_active_download_changes_at_once(rpc: RpcStack, origin: Origin) -> None:
    gid = await rpc.call("addUri", [origin.url("/slow")])
    await rpc.receives(gid)
    assert await rpc.call("changeOption", gid, {"max-download-limit": "10K"}) == "OK"
    assert (await rpc.call("getOption", gid))["max-download-limit"] == "10240"
    assert (await rpc.find(gid)).download.state is State.DOWNLOADING
    assert len(origin.requests("/slow")) == 1


async def test_options_of_an_ended_download_cannot_be_changed(rpc: RpcStack, origin: Origin) -> None:
    gid = await rpc.call("addUri", [origin.url("/a")])
    await rpc.reaches(gid, "complete")
    assert await rpc.refusal("changeOption", gid, {"split": "1"}) == f"Cannot change option for GID#{gid}"


IMPOSSIBLE: list[tuple[dict[str, str], str]] = [
    ({"split": "0"}, "--split"),
    ({"dir": "/etc"}, "--dir"),
    ({"out": "../x"}, "--out"),
    ({"header": ":"}, "--header"),
]


async def test_an_impossible_value_changes_nothing(rpc: RpcStack) -> None:
    for options, named in IMPOSSIBLE:
        gid = await add(rpc)
        before = (await rpc.find(gid)).download
        assert named in await rpc.refusal("changeOption", gid, {"max-download-limit": "1", **options})
        assert (await rpc.find(gid)).download == before


async def test_a_directory_of_others_is_refused(rpc: RpcStack) -> None:
    gid = await rpc.call("addUri", [URL], {"pause": "true"}, token="carl")
    assert "anns" in await rpc.refusal("changeOption", gid, {"dir": "anns"}, token="carl")


# -- global options ----------------------------------------------------------------------------------------------------


async def test_global_options_have_defaults(rpc: RpcStack) -> None:
    options = await rpc.call("getGlobalOption")
    assert (options["dir"], options["max-concurrent-downloads"]) == (rpc.root, "64")
    assert options["max-overall-download-limit"] == "0"
    assert "rpc-secret" not in options


async def test_limits_change_at_once(rpc: RpcStack) -> None:
    limits = {"max-concurrent-downloads": "3", "max-overall-download-limit": "1M"}
    assert await rpc.call("changeGlobalOption", limits) == "OK"
    assert (rpc.stack.limits.settings.max_concurrent, rpc.stack.limits.settings.speed_limit) == (3, 1 << 20)
    options = await rpc.call("getGlobalOption", token="carl")
    assert (options["max-concurrent-downloads"], options["max-overall-download-limit"]) == ("3", "1048576")


async def test_limits_of_hours_are_shown_and_changed_as_those_of_users(rpc: RpcStack) -> None:
    rpc.stack.hours.configure([LimitConfig(speed_limit=1 << 20, max_concurrent=3)], DownloadsConfig())
    names = ("max-concurrent-downloads", "max-overall-download-limit")
    options = await rpc.call("getGlobalOption")
    assert [options[name] for name in names] == ["3", "1048576"]
    assert await rpc.call("changeGlobalOption", {"max-overall-download-limit": "0"}) == "OK"
    options = await rpc.call("getGlobalOption")
    assert [options[name] for name in names] == ["3", "0"]


async def test_the_global_answer_is_taken_back(rpc: RpcStack) -> None:
    await rpc.call("changeGlobalOption", {"dir": "d", "split": "7", "header": ["A: b"], "max-tries": "2"})
    before = await rpc.call("getGlobalOption")
    assert (before["dir"], before["split"], before["header"]) == (f"{rpc.root}/d", "7", "A: b\n")
    assert await rpc.call("changeGlobalOption", before) == "OK"
    assert await rpc.call("getGlobalOption") == before


async def test_global_options_are_those_of_one_user(rpc: RpcStack) -> None:
    await rpc.call("changeGlobalOption", {"header": "Cookie: a=b", "dir": "d"})
    options = await rpc.call("getGlobalOption", token="carl")
    assert "header" not in options
    assert options["dir"] == rpc.root


IMPOSSIBLE_GLOBALLY: list[tuple[dict[str, str], str]] = [
    ({"max-concurrent-downloads": "0"}, "--max-concurrent-downloads"),
    ({"max-concurrent-downloads": str(10**12)}, "--max-concurrent-downloads"),
    ({"max-overall-download-limit": "x"}, "--max-overall-download-limit"),
    ({"dir": "/etc"}, "--dir"),
    ({"header": "x"}, "--header"),
]


async def test_an_impossible_global_value_changes_nothing(rpc: RpcStack) -> None:
    for options, named in IMPOSSIBLE_GLOBALLY:
        before = await rpc.call("getGlobalOption")
        assert named in await rpc.refusal("changeGlobalOption", {"split": "9", **options})
        assert await rpc.call("getGlobalOption") == before


IGNORED: list[dict[str, str]] = [{}, {"foo": "x"}, {"rpc-secret": "y"}, {"out": "q", "gid": "0", "pause": "x"}]


async def test_other_global_options_are_ignored(rpc: RpcStack) -> None:
    for options in IGNORED:
        before = await rpc.call("getGlobalOption")
        assert await rpc.call("changeGlobalOption", options) == "OK"
        assert await rpc.call("getGlobalOption") == before


NO_STRUCT: list[tuple[Any, ...]] = [(), ("x",), (None,), ([],)]


async def test_global_options_are_a_struct(rpc: RpcStack) -> None:
    for params in NO_STRUCT:
        text = "has wrong type." if params else "is required but missing."
        assert await rpc.refusal("changeGlobalOption", *params) == f"The parameter at 0 {text}"


# -- active downloads --------------------------------------------------------------------------------------------------

HELD_SIZE = 200_000


async def start_slow(rpc: RpcStack, origin: Origin, **options: str) -> str:
    gid: str = await rpc.call("addUri", [origin.url("/slow")], options)
    await rpc.receives(gid)
    return gid


async def test_request_fields_of_an_active_download_restart_its_transfer(rpc: RpcStack, origin: Origin) -> None:
    gid = await start_slow(rpc, origin)
    assert await rpc.call("changeOption", gid, {"header": "X-A: b"}) == "OK"
    await origin.wait_requested("/slow", 2)
    first, second = origin.requests("/slow")
    assert (first.field("x-a"), second.field("x-a")) == (None, "b")
    assert second.field("range")
    await rpc.reaches(gid, "active")


async def test_a_restart_by_a_change_is_not_told(rpc: RpcStack, origin: Origin) -> None:
    told: list[tuple[str, str]] = []
    # The rest that the second request asks for stalls too.
    origin.script(
        "/slow", [ScriptedResponse(size=HELD_SIZE, etag='"a"', stall_after=nbytes) for nbytes in (50_000, 100_000)]
    )
    with rpc.stack.bus.subscribe() as events:
        gid = await start_slow(rpc, origin)
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
    gid = await start_slow(rpc, origin)
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
