"""client.js under Node.js, against a real daemon: every call, its errors, and events across a kill."""

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
from support.waiting import CONDITION_TIMEOUT

from downloadd.errors import ERRORS

CLIENT = Path(str(files("downloadd.fronts.page") / "static" / "client.js"))


async def node(script: str, *arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *("node", str(Path(__file__).with_name(script)), str(CLIENT), *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={"PATH": "/usr/local/bin:/usr/bin:/bin"},
    )


async def test_every_call_returns_its_answer(daemon: DaemonProcess, origin: Origin) -> None:
    origin.script("/small", ScriptedResponse(size=1000))
    origin.script("/other", ScriptedResponse(size=1000))
    origin.script("/slow", ScriptedResponse(size=300_000))
    content = base64.b64encode(packed(export(origin, ["F1", "F2"]))).decode()
    process = await node("client_flow.mjs", daemon.url, TOKEN, origin.url("/").rstrip("/"), content)
    async with asyncio.timeout(CONDITION_TIMEOUT):
        output, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    results: dict[str, Any] = json.loads(output)

    started = results["snippetFetch"]
    assert re.fullmatch(r"[0-9a-f-]{36}", started.pop("download_id"))
    assert started == {
        "filename": "renamed-data.csv",
        "path": "Downloads/renamed-data.csv",
        "success": True,
        "message": "Download started",
        "error": None,
    }
    for entry in results["snippetActive"]["downloads"] + results["snippetGlobal"]["downloads"]:
        assert_shaped(entry, LISTED)
    for entry in results["snippetHistory"]["history"]:
        assert_shaped(entry, ENDED)
    assert results["deep"]["path"] == "a b/ü/c%2Fd/small"
    assert (results["file"], results["range"]) == (1000, 5)
    assert results["linked"] == [200, "attachment; filename*=UTF-8''small", 1000]
    assert [one["name"] for one in results["files"]["files"]] == ["small"]
    assert results["files"]["next"] is None
    assert results["noFile"]["code"] == "NOT_FOUND"
    assert results["mirrors"]["message"] == "Download completed"
    assert [each["code"] for each in results["traversal"]] == ["INVALID_PATH"] * 3
    assert (results["invalid"]["code"], results["invalid"]["status"], results["invalid"]["api"]) == (
        "INVALID_URL",
        400,
        True,
    )
    assert results["invalid"]["detail"]
    assert (results["unauthorized"]["code"], results["unauthorized"]["status"]) == ("unauthorized", 401)
    assert (results["nobody"]["name"], results["nobodyIsLost"]) == ("ConnectionLost", True)
    assert results["sameId"]
    assert (results["probe"]["filename"], results["probe"]["size"], results["probe"]["success"]) == ("mine", 1000, True)
    assert (results["probeOfNothing"]["code"], results["probeAborted"]) == ("REMOTE_FILE_NOT_FOUND", "AbortError")
    assert (results["paused"], results["resumed"], results["one"]) == ("paused", "Download resumed", True)
    assert (results["changed"]["priority"], results["changed"]["speed_limit"]) == (3, 2000)
    assert (results["moved"]["position"], results["moved"]["priority"]) == (0, 3)
    assert [(one["success"], one["error"]) for one in results["acted"]["results"]] == [
        (True, None),
        (False, "NOT_FOUND"),
    ]
    assert results["acted"]["results"][0]["active"]["status"] == "paused"
    assert (results["pausedAll"]["changed"] >= 0, results["resumedAll"]["changed"] >= 1) == (True, True)
    assert (results["waited"], results["waitedForThePast"]) == ("completed", "completed")
    assert results["waitedForNothing"]["code"] == "NOT_FOUND"
    assert [each["error"] for each in results["batch"]["downloads"]] == [None, "INVALID_URL"]
    assert [each["error"] for each in results["allRefused"]["downloads"]] == ["INVALID_URL"]
    assert results["retried"] == "Download will be tried again"
    assert (results["notCancelled"]["code"], results["notRemoved"]["code"]) == ("INVALID_STATE", "NOT_FOUND")
    assert results["removed"] == "Removed from the history"
    assert results["removedFile"] == "Removed from the history, with its file"
    assert results["removedMany"]["removed"] == 1
    assert results["page"]["next"]
    assert results["nextPage"]["history"][0]["id"] != results["page"]["history"][0]["id"]
    assert results["directories"] == ["a b"]
    assert (results["schedule"]["name"], results["changedSchedule"], results["ranSchedule"]) == (
        "nightly",
        True,
        "completed",
    )
    assert (results["refusedSchedule"]["code"], results["schedules"]) == ("INVALID_PARAMETER", [1, 2])
    assert results["removedSchedule"] == "Schedule removed"
    assert (results["settings"]["max_concurrent"], results["changedSettings"]["max_concurrent"]) == (64, 7)
    assert results["refusedSettings"]["code"] == "INVALID_PARAMETER"
    assert results["health"]["status"] == "ok"
    assert [(each["url"], each["state"]) for each in results["nodes"]] == [(daemon.url, "up")]
    assert results["errors"] == len(ERRORS)
    assert results["openapi"].startswith("3.1")
    assert results["metrics"]
    assert results["upload"] == "importer_file_loaded"
    assert results["channels"] == ["general", "empty"]
    assert results["started"] == {"success": True}
    assert (results["pending"]["count"], results["avatars"]["count"]) == (2, 0)
    assert (results["current"], results["progress"], results["latest"]) == ("pending-avatars", "pending-avatars", 3)
    assert (results["cancelled"]["status"], results["givenUp"]["status"]) == (404, 404)
    assert results["publicFile"]["code"].startswith("error-")
    assert results["firstEvent"] in {"download", "history", "import"}
    assert results["states"][0] is True
    assert results["parsed"] == [
        {"event": "download", "data": '{"a":1}', "id": "1-2"},
        {"event": "message", "data": "x\ny"},
        {"event": "message", "data": "", "id": "9"},
    ]


async def test_the_event_stream_reconnects_after_a_kill(restartable: DaemonProcess, origin: Origin) -> None:
    origin.script("/f", ScriptedResponse(size=100))
    await restartable.start()
    process = await node("client_events.mjs", restartable.url, TOKEN, "2")
    assert process.stdout is not None
    assert json.loads(await process.stdout.readline()) == {"connected": True}
    before = await restartable.fetch("d", origin.url("/f"))
    await restartable.kill()
    assert json.loads(await process.stdout.readline()) == {"connected": False}
    await restartable.start()
    after = await restartable.fetch("d", origin.url("/f"))
    async with asyncio.timeout(CONDITION_TIMEOUT):
        output, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    lines = [json.loads(line) for line in output.decode().splitlines()]
    assert lines[-1] == {"ended": [before[1]["download_id"], after[1]["download_id"]]}


@pytest.mark.parametrize("file", sorted(CLIENT.parent.glob("*.js")), ids=lambda file: file.name)
def test_every_module_can_be_parsed(file: Path) -> None:
    subprocess.run(["node", "--check", str(file)], check=True)
