"""Context of a call."""

from typing import Any

from support.rpc_stack import USERS, RpcStack

from downloadd.fronts.aria2.methods.context import Context

BY_GID: dict[str, tuple[Any, ...]] = {
    **dict.fromkeys(("remove", "forceRemove", "pause", "forcePause", "unpause", "removeDownloadResult"), ()),
    **dict.fromkeys(("tellStatus", "getOption", "getFiles", "getUris", "getServers", "getPeers"), ()),
    "changeOption": ({},),
    "changePosition": (0, "POS_SET"),
    "changeUri": (1, [], []),
}
"""Methods of one download, with parameters behind its gid."""


async def test_a_gid_is_checked_and_searched(rpc: RpcStack) -> None:
    for number in (1, 2):
        options = {"pause": "true", "gid": f"abc{number}{'0' * 12}"}
        await rpc.call("addUri", ["http://127.0.0.1:1025/a"], options)
    for method, others in BY_GID.items():
        for gid in ("", "xyz", "0" * 17, " ab", "0x1", "ä"):
            assert await rpc.refusal(method, gid, *others) == f"Invalid GID {gid}"
        for gid in ("0" * 16, "ABCDEF0123456789", "7"):
            assert await rpc.refusal(method, gid, *others) == f"GID {gid} is not found"
        assert await rpc.refusal(method, "ABC", *others) == "GID ABC is not unique"


async def test_parameters_are_counted_without_the_token(rpc: RpcStack) -> None:
    for method, others in BY_GID.items():
        assert await rpc.refusal(method) == "The parameter at 0 is required but missing."
        assert await rpc.refusal(method, 1) == "The parameter at 0 has wrong type."
        for index, _ in enumerate(others, 1):
            given = ["xyz", *others[: index - 1]]
            assert await rpc.refusal(method, *given) == f"The parameter at {index} is required but missing."
            assert await rpc.refusal(method, *given, None) == f"The parameter at {index} has wrong type."


async def test_whoever_may_start_downloads_sees_whole_urls(rpc: RpcStack) -> None:
    for name, shows_urls in (("ann", True), ("carl", True), ("viewer", False)):
        context = Context(services=rpc.methods._services, user=USERS[name], request_id=None)
        assert context.view.shows_urls is shows_urls
        assert context.view.root == rpc.root
