"""The examples of the user's specification, replayed and compared field by field."""

import asyncio
import re
from typing import Any

import pytest
from daemon_process import TOKEN, USER, DaemonProcess, until
from origin.answer import Answer, failure
from origin.origin import Origin

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
LISTED = {
    "id": str,
    "filename": str,
    "file_path": str,
    "directory": str,
    "url": str,
    "status": str,
    "current_size": int,
    "expected_size": int | None,
    "progress_percentage": float | None,
    "start_time": int,
}
ENDED = {
    "id": str,
    "filename": str,
    "file_path": str,
    "directory": str,
    "url": str,
    "status": str,
    "total_bytes": int | None,
    "start_time": int,
    "end_time": int,
    "error": str | None,
}


def assert_shaped(entry: dict[str, Any], shape: dict[str, Any]) -> None:
    assert list(entry)[: len(shape)] == list(shape)
    for name, kind in shape.items():
        assert isinstance(entry[name], kind), (name, entry[name])
        assert not isinstance(entry[name], bool)


async def test_starting_answers_as_specified(daemon: DaemonProcess, origin: Origin) -> None:
    origin.script("/data.csv", Answer(size=10))
    answer = await daemon.start_download(
        "Downloads", origin.url("/data.csv"), filename="renamed-data.csv", timeout="600"
    )
    assert UUID.fullmatch(answer.pop("download_id"))
    assert answer == {
        "filename": "renamed-data.csv",
        "path": "Downloads/renamed-data.csv",
        "success": True,
        "message": "Download started",
        "error": None,
    }


async def test_an_invalid_url_is_refused_as_specified_and_recorded(daemon: DaemonProcess) -> None:
    status, answer = await daemon.ask("GET", "/Downloads", params={"download": "ftp://files.example.com/data.csv"})
    assert status == 400
    id = answer.pop("download_id")
    assert UUID.fullmatch(id)
    assert answer.pop("detail")
    assert answer == {
        "filename": "data.csv",
        "path": "Downloads/data.csv",
        "success": False,
        "message": "Download failed",
        "error": "INVALID_URL",
    }
    [entry] = await daemon.history()
    assert (entry["id"], entry["status"], entry["error"]) == (id, "failed", "INVALID_URL")


async def test_without_the_launch_flag_nothing_is_started(tmp_path: Any) -> None:
    async with DaemonProcess(tmp_path, flags=()) as daemon:
        status, answer = await daemon.ask("GET", "/Downloads", params={"download": "https://files.example.com/a"})
        assert (status, answer) == (403, {"success": False, "error": "DOWNLOAD_FORBIDDEN"})
        assert await daemon.history() == []


async def test_listings_show_what_runs_as_specified(daemon: DaemonProcess, origin: Origin) -> None:
    gate = asyncio.Event()
    origin.script("/dataset.zip", Answer(size=104_857_600, stall_after=52_428_800))
    origin.script("/report.pdf", Answer(size=10, head_gate=gate))
    dataset = await daemon.start_download("Downloads", origin.url("/dataset.zip"))
    report = await daemon.start_download("Documents", origin.url("/report.pdf"))

    async def half_way() -> Any:
        listed = await daemon.active()
        return listed if listed[0]["current_size"] == 52_428_800 and listed[1]["status"] == "starting" else None

    first, second = await until(half_way)
    for entry in (first, second):
        assert_shaped(entry, LISTED)
    assert {name: first[name] for name in LISTED if name != "start_time"} == {
        "id": dataset["download_id"],
        "filename": "dataset.zip",
        "file_path": "Downloads/dataset.zip",
        "directory": "Downloads",
        "url": origin.url("/dataset.zip"),
        "status": "downloading",
        "current_size": 52_428_800,
        "expected_size": 104_857_600,
        "progress_percentage": 50.0,
    }
    assert {name: second[name] for name in LISTED if name != "start_time"} == {
        "id": report["download_id"],
        "filename": "report.pdf",
        "file_path": "Documents/report.pdf",
        "directory": "Documents",
        "url": origin.url("/report.pdf"),
        "status": "starting",
        "current_size": 0,
        "expected_size": None,
        "progress_percentage": None,
    }
    for directory, expected in {"Downloads": first, "Documents": second}.items():
        status, body = await daemon.ask("GET", f"/{directory}?downloads=")
        assert status == 200
        assert list(body) == ["downloads"]
        assert [entry["id"] for entry in body["downloads"]] == [expected["id"]]
    assert (await daemon.ask("GET", "/Elsewhere?downloads="))[1] == {"downloads": []}
    gate.set()


async def test_history_shows_what_ended_as_specified(daemon: DaemonProcess, origin: Origin) -> None:
    origin.script("/dataset.zip", Answer(size=104_857))
    origin.script("/missing.csv", failure(404))
    done = await daemon.start_download("Downloads", origin.url("/dataset.zip"))
    await daemon.ended(done["download_id"])
    gone = await daemon.start_download("Downloads", origin.url("/missing.csv"))
    await daemon.ended(gone["download_id"])
    status, body = await daemon.ask("GET", "/?download_history=")
    assert status == 200
    assert list(body) == ["history"]
    missing, dataset = body["history"]
    for entry in (missing, dataset):
        assert_shaped(entry, ENDED)
        assert entry["end_time"] >= entry["start_time"] > 1_700_000_000
    assert {name: dataset[name] for name in ENDED if not name.endswith("time")} == {
        "id": done["download_id"],
        "filename": "dataset.zip",
        "file_path": "Downloads/dataset.zip",
        "directory": "Downloads",
        "url": origin.url("/dataset.zip"),
        "status": "completed",
        "total_bytes": 104_857,
        "error": None,
    }
    assert {name: missing[name] for name in ENDED if not name.endswith("time")} == {
        "id": gone["download_id"],
        "filename": "missing.csv",
        "file_path": "Downloads/missing.csv",
        "directory": "Downloads",
        "url": origin.url("/missing.csv"),
        "status": "failed",
        "total_bytes": None,
        "error": "REMOTE_FILE_NOT_FOUND",
    }
    assert missing["user"] == USER


@pytest.mark.parametrize(
    "headers",
    [{"Authorization": f"Bearer {TOKEN}"}, {"X-User-Id": USER, "X-Auth-Token": TOKEN}],
    ids=["bearer", "pair"],
)
async def test_both_schemes_let_a_user_in(daemon: DaemonProcess, headers: dict[str, str]) -> None:
    assert daemon.client is not None
    daemon.client.headers.clear()
    assert (await daemon.ask("GET", "/api/v1/downloads", headers=headers))[0] == 200
    assert await daemon.ask("GET", "/api/v1/downloads") == (401, {"success": False, "error": "unauthorized"})
