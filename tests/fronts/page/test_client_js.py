"""client.js under Node, against a real daemon: every call, the errors, and events across a death."""

import asyncio
import base64
import json
import re
import subprocess
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from end_to_end.test_imports import export
from end_to_end.test_specification import ENDED, LISTED, assert_shaped
from support.daemon_process import TOKEN, DaemonProcess
from support.import_files import packed
from support.origin.origin import Origin
from support.origin.scripted_response import ScriptedResponse

from downloadd.errors import ERRORS

CLIENT = Path(str(files("downloadd.fronts.page") / "static" / "client.js"))


async def node(script: str, *arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *("node", str(Path(__file__).with_name(script)), str(CLIENT), *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={"PATH": "/usr/local/bin:/usr/bin:/bin"},
    )


async def test_every_call_does_what_it_says(daemon: DaemonProcess, origin: Origin) -> None:
    origin.script("/small", ScriptedResponse(size=1000))
    origin.script("/other", ScriptedResponse(size=1000))
    origin.script("/slow", ScriptedResponse(size=3000, rate=3000))
    content = base64.b64encode(packed(export(origin, ["F1", "F2"]))).decode()
    process = await node("client_flow.mjs", daemon.url, TOKEN, origin.url("/").rstrip("/"), content)
    async with asyncio.timeout(50):
        output, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    told: dict[str, Any] = json.loads(output)

    started = told["snippetFetch"]
    assert re.fullmatch(r"[0-9a-f-]{36}", started.pop("download_id"))
    assert started == {
        "filename": "renamed-data.csv",
        "path": "Downloads/renamed-data.csv",
        "success": True,
        "message": "Download started",
        "error": None,
    }
    for entry in told["snippetActive"]["downloads"] + told["snippetGlobal"]["downloads"]:
        assert_shaped(entry, LISTED)
    for entry in told["snippetHistory"]["history"]:
        assert_shaped(entry, ENDED)
    assert told["deep"]["path"] == "a b/ü/c%2Fd/small"
    assert told["mirrors"]["message"] == "Download completed"
    assert [each["code"] for each in told["traversal"]] == ["INVALID_PATH"] * 3
    assert (told["invalid"]["code"], told["invalid"]["status"], told["invalid"]["api"]) == ("INVALID_URL", 400, True)
    assert told["invalid"]["detail"]
    assert (told["unauthorized"]["code"], told["unauthorized"]["status"]) == ("unauthorized", 401)
    assert (told["nobody"]["name"], told["nobodyIsLost"]) == ("ConnectionLost", True)
    assert told["sameId"]
    assert (told["paused"], told["resumed"], told["one"]) == ("paused", "Download resumed", True)
    assert (told["changed"]["priority"], told["changed"]["speed_limit"]) == (3, 0)
    assert (told["waited"], told["waitedForThePast"]) == ("completed", "completed")
    assert told["waitedForNothing"]["code"] == "NOT_FOUND"
    assert [each["error"] for each in told["batch"]["downloads"]] == [None, "INVALID_URL"]
    assert [each["error"] for each in told["allRefused"]["downloads"]] == ["INVALID_URL"]
    assert told["retried"] == "Download will be tried again"
    assert told["page"]["next"]
    assert told["nextPage"]["history"][0]["id"] != told["page"]["history"][0]["id"]
    assert told["directories"] == ["a b"]
    assert told["health"]["status"] == "ok"
    assert told["errors"] == len(ERRORS)
    assert told["openapi"].startswith("3.1")
    assert told["metrics"]
    assert told["upload"] == "importer_file_loaded"
    assert told["channels"] == ["general", "empty"]
    assert told["started"] == {"success": True}
    assert (told["pending"]["count"], told["avatars"]["count"]) == (2, 0)
    assert (told["current"], told["progress"], told["latest"]) == ("pending-avatars", "pending-avatars", 3)
    assert told["cancelled"]["status"] == 400
    assert told["publicFile"]["code"].startswith("error-")
    assert told["firstEvent"] in {"download", "history", "import"}
    assert told["states"][0] is True
    assert told["parsed"] == [
        {"event": "download", "data": '{"a":1}', "id": "1-2"},
        {"event": "message", "data": "x\ny"},
        {"event": "message", "data": "", "id": "9"},
    ]


async def test_events_are_taken_up_again_after_a_death(restartable: DaemonProcess, origin: Origin) -> None:
    origin.script("/f", ScriptedResponse(size=100))
    await restartable.start()
    port = restartable.url.rpartition(":")[2]
    process = await node("client_events.mjs", restartable.url, TOKEN, "2")
    assert process.stdout is not None
    assert json.loads(await process.stdout.readline()) == {"connected": True}
    before = await restartable.fetch("d", origin.url("/f"))
    await restartable.kill()
    assert json.loads(await process.stdout.readline()) == {"connected": False}
    restartable.flags = ("--allow-download", "--port", port)
    await restartable.start()
    after = await restartable.fetch("d", origin.url("/f"))
    async with asyncio.timeout(30):
        output, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    lines = [json.loads(line) for line in output.decode().splitlines()]
    assert lines[-1] == {"ended": [before[1]["download_id"], after[1]["download_id"]]}


@pytest.mark.parametrize("file", sorted(CLIENT.parent.glob("*.js")), ids=lambda file: file.name)
def test_every_module_can_be_parsed(file: Path) -> None:
    subprocess.run(["node", "--check", str(file)], check=True)
