"""Methods that add downloads."""

import json
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
from support.origin.origin import Origin
from support.origin.scripted_response import ScriptedResponse
from support.rpc_stack import RpcStack

from downloadd.fronts.aria2.methods import adding
from downloadd.states import State

URL = "http://127.0.0.1:1025/a"
PAUSED = {"pause": "true"}

METALINK = """<?xml version="1.0" encoding="UTF-8"?>
<metalink xmlns="urn:ietf:params:xml:ns:metalink">
  <file name="one.bin"><size>3</size><hash type="sha-1">{sha1}</hash>
    <url priority="2">http://127.0.0.1:1025/mirror</url><url priority="1">http://127.0.0.1:1025/one</url></file>
  <file name="sub/two.bin"><url>http://127.0.0.1:1025/two</url></file>
  <file name="../three.bin"><url>http://127.0.0.1:1025/three</url></file>
</metalink>""".format(sha1="0" * 40)


def encode(document: str) -> str:
    return b64encode(document.encode()).decode()


async def paths(rpc: RpcStack) -> list[str]:
    return [row["files"][0]["path"] for row in await rpc.call("tellWaiting", 0, 100)]


# -- addUri ------------------------------------------------------------------------------------------------------------


async def test_a_uri_is_downloaded(rpc: RpcStack, origin: Origin) -> None:
    gid = await rpc.call("addUri", [origin.url("/a")])
    status = await rpc.reaches(gid, "complete")
    assert len(gid) == 16
    assert status["files"][0]["path"] == f"{rpc.root}/a"
    assert Path(status["files"][0]["path"]).stat().st_size == int(status["totalLength"])


async def test_other_uris_are_mirrors(rpc: RpcStack, origin: Origin) -> None:
    gid = await rpc.call("addUri", [origin.url("/missing"), "foo", origin.url("/a")], {"out": "f"})
    await rpc.reaches(gid, "complete")
    assert rpc.stack.files().keys() == {"f"}


async def test_credentials_in_a_uri_are_sent(rpc: RpcStack, origin: Origin) -> None:
    url = origin.url("/a").replace("http://", "http://user:password@")
    await rpc.reaches(await rpc.call("addUri", [url]), "complete")
    assert any(request.field("authorization") for request in origin.requests("/a"))


WRONG: list[tuple[tuple[Any, ...], str]] = [
    ((), "The parameter at 0 is required but missing."),
    ((None,), "The parameter at 0 has wrong type."),
    (("x",), "The parameter at 0 has wrong type."),
    (([],), "URI is not provided."),
    (([1],), "URI is not provided."),
    ((["foo"],), "No URI to download."),
    ((["magnet:?xt=1"],), "No URI to download."),
    (([URL], "x"), "The parameter at 1 has wrong type."),
    (([URL], None), "The parameter at 1 has wrong type."),
    (([URL], {}, "x"), "The parameter at 2 has wrong type."),
    (([URL], {}, True), "The parameter at 2 has wrong type."),
    (([URL], {}, -1), "Position must be greater than or equal to 0."),
    (([URL], {"split": "0"}), "We encountered a problem while processing the option '--split'."),
    (([URL], {"pause": "maybe"}), "We encountered a problem while processing the option '--pause'."),
]


async def test_a_wrong_parameter_adds_nothing(rpc: RpcStack) -> None:
    for params, message in WRONG:
        assert await rpc.refusal("addUri", *params) == message
        assert await rpc.call("tellWaiting", 0, 100) == []
        assert await rpc.history() == []


UNUSABLE: list[tuple[dict[str, Any], str]] = [
    ({"dir": "/etc"}, "--dir"),
    ({"out": "../x"}, "--out"),
    ({"header": ["A: b\nC: d"]}, "--header"),
]


async def test_an_option_that_cannot_be_used_adds_nothing(rpc: RpcStack) -> None:
    for options, named in UNUSABLE:
        assert named in await rpc.refusal("addUri", [URL], options)
        assert await rpc.history() == []


async def test_a_download_may_start_paused(rpc: RpcStack) -> None:
    gid = await rpc.call("addUri", [URL], PAUSED)
    assert (await rpc.call("tellStatus", gid, ["status"])) == {"status": "paused"}


async def test_a_download_may_be_put_before_others(rpc: RpcStack) -> None:
    for name, position in (("a", None), ("b", 0), ("c", 1), ("d", 99)):
        await rpc.call("addUri", [URL], {**PAUSED, "out": name}, *([] if position is None else [position]))
    assert await paths(rpc) == [f"{rpc.root}/{name}" for name in ("b", "c", "a", "d")]


async def test_a_gid_may_be_chosen_once(rpc: RpcStack) -> None:
    options = {**PAUSED, "gid": "ABCDEF0123456789"}
    assert await rpc.call("addUri", [URL], options) == "abcdef0123456789"
    message = await rpc.refusal("addUri", [URL], options)
    assert "gid" in message.lower()
    assert message != "No URI to download."
    await rpc.call("remove", "abcdef0123456789")
    assert "gid" in (await rpc.refusal("addUri", [URL], options)).lower()


async def test_a_malformed_gid_is_refused(rpc: RpcStack) -> None:
    assert (await rpc.refusal("addUri", [URL], {"gid": "xyz"})).startswith("Invalid GID xyz")


async def test_global_options_apply_to_what_comes_after(rpc: RpcStack) -> None:
    await rpc.call("addUri", [URL], {**PAUSED, "out": "a"})
    await rpc.call("changeGlobalOption", {"dir": "d"})
    await rpc.call("addUri", [URL], {**PAUSED, "out": "b"})
    await rpc.call("addUri", [URL], {**PAUSED, "out": "c", "dir": "e"})
    await rpc.call("addUri", [URL], {**PAUSED, "out": "f"}, token="carl")
    assert await paths(rpc) == [f"{rpc.root}/{path}" for path in ("a", "d/b", "e/c", "f")]


async def test_options_are_sent_to_the_origin(rpc: RpcStack, origin: Origin) -> None:
    options = {"header": ["X-A: b", "Cookie: c=d"], "referer": "http://r/", "user-agent": "x/1"}
    await rpc.reaches(await rpc.call("addUri", [origin.url("/a")], options), "complete")
    (request,) = origin.requests("/a")
    fields = [request.field(name) for name in ("x-a", "cookie", "referer", "user-agent")]
    assert fields == ["b", "c=d", "http://r/", "x/1"]


async def test_a_refusal_is_the_error_of_the_call_and_no_result(rpc: RpcStack) -> None:
    message = await rpc.refusal("addUri", ["http://10.1.2.3/a"])
    assert "10.1.2.3" in message
    assert await rpc.call("tellStopped", 0, 10) == []
    assert len(await rpc.history()) == 1


async def test_a_directory_of_others_is_refused(rpc: RpcStack) -> None:
    assert "anns" in await rpc.refusal("addUri", [URL], {"dir": "anns"}, token="carl")
    assert await rpc.call("addUri", [URL], {"dir": "anns", **PAUSED})


async def test_a_taken_name_follows_the_options(rpc: RpcStack, origin: Origin) -> None:
    for options in ({}, {}, {"allow-overwrite": "true"}):
        await rpc.reaches(await rpc.call("addUri", [origin.url("/a")], {"out": "f.bin", **options}), "complete")
    assert rpc.stack.files().keys() == {"f.bin", "f (1).bin"}
    options = {"out": "f.bin", "auto-file-renaming": "false"}
    assert "f.bin exists" in await rpc.refusal("addUri", [origin.url("/a")], options)


async def test_a_checksum_is_verified(rpc: RpcStack, origin: Origin) -> None:
    gid = await rpc.call("addUri", [origin.url("/a")], {"checksum": f"sha-1={'0' * 40}", "max-tries": "1"})
    assert (await rpc.reaches(gid, "error"))["errorCode"] == "32"
    assert rpc.stack.files() == {}


# -- addMetalink -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_base64", [True, False])
async def test_a_metalink_adds_each_file_in_order(rpc: RpcStack, is_base64: bool) -> None:
    content = encode(METALINK) if is_base64 else METALINK.encode()
    options = {**PAUSED, "dir": "d", "out": "ignored", "gid": "abcdef0123456789", "checksum": f"md5={'1' * 32}"}
    gids = await rpc.call("addMetalink", content, options)
    rows = [(await rpc.find(gid)).download for gid in gids]
    assert [row.file_path for row in rows] == ["d/one.bin", "d/sub/two.bin"]
    one, two = (row.request for row in rows)
    assert (one.url, [mirror.url for mirror in one.mirrors]) == (
        "http://127.0.0.1:1025/one",
        ["http://127.0.0.1:1025/mirror"],
    )
    assert (one.expected_size, one.requested_checksum) == (3, f"sha-1={'0' * 40}")
    assert (two.expected_size, two.requested_checksum) == (None, None)
    assert "abcdef0123456789" not in gids


async def test_the_files_of_a_metalink_are_put_next_to_each_other(rpc: RpcStack) -> None:
    for name in ("a", "b"):
        await rpc.call("addUri", [URL], {**PAUSED, "out": name})
    await rpc.call("addMetalink", encode(METALINK), PAUSED, 1)
    assert await paths(rpc) == [f"{rpc.root}/{path}" for path in ("a", "one.bin", "sub/two.bin", "b")]


async def test_a_file_that_is_refused_has_a_gid_beside_others(rpc: RpcStack) -> None:
    document = METALINK.replace("127.0.0.1:1025/two", "10.1.2.3/two")
    _, refused = await rpc.call("addMetalink", encode(document), PAUSED)
    status = await rpc.call("tellStatus", refused)
    assert (status["status"], status["errorCode"]) == ("error", "1")


async def test_a_metalink_of_refused_files_is_an_error(rpc: RpcStack) -> None:
    assert "10.1.2.3" in await rpc.refusal("addMetalink", encode(METALINK.replace("127.0.0.1:1025", "10.1.2.3")))
    assert await rpc.call("tellStopped", 0, 10) == []


UNREADABLE: list[tuple[str, str]] = [
    ("!!!", "The Metalink is not Base64"),
    ("", "The Metalink cannot be read: "),
    (encode("hello"), "The Metalink cannot be read: "),
    (encode("<a/>"), "The Metalink cannot be read: "),
    (encode(METALINK.replace("http:", "ftp:")), "No file of the Metalink can be downloaded: "),
]


async def test_a_metalink_without_files_is_an_error(rpc: RpcStack) -> None:
    for content, message in UNREADABLE:
        assert (await rpc.refusal("addMetalink", content)).startswith(message)


async def test_a_metalink_has_a_limit_of_files(rpc: RpcStack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adding, "MAX_FILES", 1)
    assert "more than 1 files" in await rpc.refusal("addMetalink", encode(METALINK))


@pytest.mark.parametrize("method", ["addMetalink", "addTorrent"])
@pytest.mark.parametrize(
    ("params", "message"),
    [((), "The parameter at 0 is required but missing."), ((1,), "The parameter at 0 has wrong type.")],
)
async def test_a_file_is_bytes(rpc: RpcStack, method: str, params: tuple[Any, ...], message: str) -> None:
    assert await rpc.refusal(method, *params) == message


# -- addTorrent --------------------------------------------------------------------------------------------------------


async def test_a_torrent_is_refused_with_a_sentence(rpc: RpcStack) -> None:
    assert "BitTorrent is not supported" in await rpc.refusal("addTorrent", "aGVsbG8=", [], {}, 0)
    assert await rpc.refusal("addTorrent", "x", "x") == "The parameter at 1 has wrong type."
    assert await rpc.refusal("addTorrent", "x", [], "x") == "The parameter at 2 has wrong type."


# -- after a restart ---------------------------------------------------------------------------------------------------


async def test_what_was_added_is_not_in_a_log_or_answer_with_its_secrets(rpc: RpcStack, origin: Origin) -> None:
    gid = await rpc.call("addUri", [origin.url("/slow") + "?token=s3cret"], {"header": "Cookie: s=s3cret"})
    for method in ("tellStatus", "getOption", "getUris", "getFiles"):
        assert "s3cret" not in json.dumps(await rpc.call(method, gid, token="viewer"))
    assert (await rpc.find(gid)).download.state is not State.FAILED


async def test_a_file_gets_the_time_of_its_origin(rpc: RpcStack, origin: Origin) -> None:
    origin.script("/dated", ScriptedResponse(size=5, last_modified=784_111_777))
    status = await rpc.reaches(await rpc.call("addUri", [origin.url("/dated")]), "complete")
    assert Path(status["files"][0]["path"]).stat().st_mtime == 784_111_777
