"""Methods that change the place of a download in the queue, and its URIs."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from support.origin.origin import Origin
from support.rpc_stack import RpcStack

from downloadd.fronts.aria2.methods.positions import insert_urls, remove_each

STALLED_BYTES = 100_000
"""Bytes of `/slow` before it stalls."""
U = "http://127.0.0.1:1025/"


async def add(rpc: RpcStack, *uris: str, **options: str) -> str:
    gid: str = await rpc.call("addUri", list(uris) or [U + "a"], {"pause": "true", **options})
    return gid


async def order(rpc: RpcStack) -> list[str]:
    return [row["gid"] for row in await rpc.call("tellWaiting", 0, 100, ["gid"])]


async def uris(rpc: RpcStack, gid: str) -> list[str]:
    return [each["uri"] for each in await rpc.call("getUris", gid)]


# -- changePosition ----------------------------------------------------------------------------------------------------


MOVES: list[tuple[float, str, int]] = [
    (0, "POS_SET", 0),
    (2, "POS_SET", 2),
    (99, "POS_SET", 3),
    (-1, "POS_SET", 0),
    (10**30, "POS_SET", 3),
    (1, "POS_CUR", 2),
    (-1, "POS_CUR", 0),
    (0, "POS_CUR", 1),
    (-99, "POS_CUR", 0),
    (0, "POS_END", 3),
    (-1, "POS_END", 2),
    (5, "POS_END", 3),
    (-99, "POS_END", 0),
    (1.9, "POS_CUR", 2),
]


async def test_a_download_moves_and_the_others_keep_their_order(rpc: RpcStack) -> None:
    for _ in range(4):
        await add(rpc)
    for offset, how, index in MOVES:
        first, moved, *rest = await order(rpc)
        assert await rpc.call("changePosition", moved, offset, how) == index
        others = [first, *rest]
        assert await order(rpc) == [*others[:index], moved, *others[index:]]


async def test_the_first_place_is_the_next_to_start(single: RpcStack, origin: Origin) -> None:
    active = await single.call("addUri", [origin.url("/slow")])
    await single.receives(active)
    first, second = [await single.call("addUri", [origin.url("/slow")]) for _ in range(2)]
    assert await single.call("changePosition", second, 0, "POS_SET") == 0
    assert await order(single) == [second, first]
    await single.call("remove", active)
    await single.reaches(second, "active")


async def test_only_waiting_downloads_have_a_place(rpc: RpcStack, origin: Origin) -> None:
    active = await rpc.call("addUri", [origin.url("/slow")])
    await rpc.receives(active)
    ended = await rpc.call("addUri", [origin.url("/a")])
    await rpc.reaches(ended, "complete")
    for gid in (active, ended):
        assert await rpc.refusal("changePosition", gid, 0, "POS_SET") == f"GID#{gid} not found in the waiting queue."


async def test_another_way_to_move_is_an_illegal_argument(rpc: RpcStack) -> None:
    gid = await add(rpc)
    assert await rpc.refusal("changePosition", gid, 0, "x") == "Illegal argument."
    assert await rpc.refusal("changePosition", gid, True, "POS_SET") == "The parameter at 1 has wrong type."
    assert await rpc.refusal("changePosition", gid, 0, 1) == "The parameter at 2 has wrong type."


# -- changeUri ---------------------------------------------------------------------------------------------------------


CHANGES: list[tuple[list[str], list[str], list[int], list[int], list[str]]] = [
    ([], [], [], [0, 0], ["1", "2"]),
    ([U + "1"], [], [], [1, 0], ["2"]),
    ([U + "2", U + "2", U + "9"], [], [], [1, 0], ["1"]),
    ([], [U + "3"], [], [0, 1], ["1", "2", "3"]),
    ([], [U + "3", U + "4"], [0], [0, 2], ["3", "4", "1", "2"]),
    ([], ["foo", U + "3"], [1], [0, 1], ["1", "3", "2"]),
    ([], [U + "3"], [99], [0, 1], ["1", "2", "3"]),
    ([U + "1"], [U + "1"], [], [1, 1], ["2", "1"]),
    ([U + "1", U + "2"], [U + "3"], [], [2, 1], ["3"]),
    ([], [U + "1"], [], [0, 0], ["1", "2"]),
]


async def test_uris_are_removed_and_added(rpc: RpcStack) -> None:
    for removed, added, position, counts, after in CHANGES:
        gid = await add(rpc, U + "1", U + "2")
        assert await rpc.call("changeUri", gid, 1, removed, added, *position) == counts
        assert await uris(rpc, gid) == [U + name for name in after]


async def test_one_uri_remains(rpc: RpcStack) -> None:
    gid = await add(rpc, U + "1")
    assert (await rpc.refusal("changeUri", gid, 1, [U + "1"], ["foo"])).startswith(f"Cannot remove URIs from GID#{gid}")
    assert await uris(rpc, gid) == [U + "1"]


WRONG: list[tuple[list[Any], str]] = [
    ([0, [], []], "The integer parameter at 1 has invalid value: the value must be greater than or equal to 1."),
    ([2, [], []], "fileIndex is out of range"),
    ([1, "x", []], "The parameter at 2 has wrong type."),
    ([1, [], "x"], "The parameter at 3 has wrong type."),
    ([1, [], [], "y"], "The parameter at 4 has wrong type."),
    ([1, [], [], -1], "Position must be greater than or equal to 0."),
]


async def test_wrong_parameters_change_nothing(rpc: RpcStack) -> None:
    for params, message in WRONG:
        assert await rpc.refusal("changeUri", await add(rpc), *params) == message


async def test_the_uris_of_an_ended_download_cannot_be_changed(rpc: RpcStack, origin: Origin) -> None:
    gid = await rpc.call("addUri", [origin.url("/a")])
    await rpc.reaches(gid, "complete")
    assert await rpc.refusal("changeUri", gid, 1, [], [U + "z"]) == f"Cannot remove URIs from GID#{gid}"


async def test_a_new_uri_that_is_not_allowed_is_refused(rpc: RpcStack) -> None:
    gid = await add(rpc, U + "1")
    assert "10.1.2.3" in await rpc.refusal("changeUri", gid, 1, [], ["http://10.1.2.3/a"])
    assert await uris(rpc, gid) == [U + "1"]


async def test_a_paused_download_continues_from_its_new_uri(rpc: RpcStack, origin: Origin) -> None:
    gid = await rpc.call("addUri", [origin.url("/slow")])
    await rpc.receives(gid, STALLED_BYTES)
    await rpc.call("pause", gid)
    assert await rpc.call("changeUri", gid, 1, [origin.url("/slow")], [origin.url("/b")]) == [1, 1]
    await rpc.call("unpause", gid)
    await rpc.reaches(gid, "complete")
    assert origin.requests("/b")[0].field("range")


async def test_an_active_download_gets_a_mirror(rpc: RpcStack, origin: Origin) -> None:
    gid = await rpc.call("addUri", [origin.url("/slow")])
    await rpc.receives(gid)
    assert await rpc.call("changeUri", gid, 1, [], [origin.url("/b")]) == [0, 1]
    assert await uris(rpc, gid) == [origin.url("/slow"), origin.url("/b")]


URLS = st.lists(st.sampled_from([f"{U}{number}" for number in range(30)]), max_size=20)


@given(URLS, URLS, URLS, st.none() | st.integers(0, 40))
def test_there_are_never_too_many_uris_or_one_twice(
    before: list[str], removed: list[str], added: list[str], position: int | None
) -> None:
    before = list(dict.fromkeys(before))[:16]
    kept = remove_each(before, removed)
    after = insert_urls(kept, added, position)
    assert len(after) == len(set(after)) <= 16
    assert [url for url in after if url in kept] == kept
    assert set(after) <= {*kept, *added}
