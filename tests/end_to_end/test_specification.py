"""The examples of the user's specification, replayed and compared field by field."""

import asyncio
import json
import re
from typing import Any
from urllib.parse import quote_plus

import pytest
from support.daemon_process import TOKEN, USER, DaemonProcess
from support.origin.origin import Origin
from support.origin.scripted_response import ScriptedResponse, error_response
from support.waiting import CONDITION_TIMEOUT, wait_until
from yarl import URL

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
    origin.script("/data.csv", ScriptedResponse(size=10))
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
    status, answer = await daemon.request("GET", "/Downloads", params={"download": "ftp://files.example.com/data.csv"})
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


async def test_without_allow_download_nothing_is_started(tmp_path: Any) -> None:
    async with DaemonProcess(tmp_path, flags=()) as daemon:
        status, answer = await daemon.request("GET", "/Downloads", params={"download": "https://files.example.com/a"})
        assert (status, answer) == (403, {"success": False, "error": "DOWNLOAD_FORBIDDEN"})
        assert await daemon.history() == []


async def test_listings_show_active_downloads_as_specified(daemon: DaemonProcess, origin: Origin) -> None:
    release = asyncio.Event()
    origin.script("/dataset.zip", ScriptedResponse(size=104_857_600, stall_after=52_428_800))
    origin.script("/report.pdf", ScriptedResponse(size=10, head_event=release))
    dataset = await daemon.start_download("Downloads", origin.url("/dataset.zip"))
    report = await daemon.start_download("Documents", origin.url("/report.pdf"))

    async def half_way() -> Any:
        listed = await daemon.active()
        return listed if listed[0]["current_size"] == 52_428_800 and listed[1]["status"] == "starting" else None

    first, second = await wait_until(half_way)
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
        status, body = await daemon.request("GET", f"/{directory}?downloads=")
        assert status == 200
        assert list(body) == ["downloads"]
        assert [entry["id"] for entry in body["downloads"]] == [expected["id"]]
    assert (await daemon.request("GET", "/Elsewhere?downloads="))[1] == {"downloads": []}
    release.set()


async def test_history_shows_finished_downloads_as_specified(daemon: DaemonProcess, origin: Origin) -> None:
    origin.script("/dataset.zip", ScriptedResponse(size=104_857))
    origin.script("/missing.csv", error_response(404))
    done = await daemon.start_download("Downloads", origin.url("/dataset.zip"))
    await daemon.wait_until_finished(done["download_id"])
    not_found = await daemon.start_download("Downloads", origin.url("/missing.csv"))
    await daemon.wait_until_finished(not_found["download_id"])
    status, body = await daemon.request("GET", "/?download_history=")
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
        "id": not_found["download_id"],
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
async def test_both_authentication_schemes_are_accepted(daemon: DaemonProcess, headers: dict[str, str]) -> None:
    assert daemon.client is not None
    daemon.client.headers.clear()
    assert (await daemon.request("GET", "/api/v1/downloads", headers=headers))[0] == 200
    assert await daemon.request("GET", "/api/v1/downloads") == (401, {"success": False, "error": "unauthorized"})


def published_sdk(target: str, port: int) -> bytes:
    """Return the request of the published SDK for `target` on Node.js, byte for byte."""
    return (
        f"GET {target} HTTP/1.1\r\n"
        f"host: 127.0.0.1:{port}\r\n"
        "connection: keep-alive\r\n"
        "Content-Type: application/json\r\n"
        f"Authorization: Bearer {TOKEN}\r\n"
        "accept: */*\r\n"
        "accept-language: *\r\n"
        "sec-fetch-mode: cors\r\n"
        "user-agent: node\r\n"
        "accept-encoding: gzip, deflate\r\n"
        "\r\n"
    ).encode()


async def test_requests_of_the_published_sdk_are_answered(daemon: DaemonProcess, origin: Origin) -> None:
    """Send each action twice: once with the path of the specification and once as a parameter."""
    origin.script("/slow/data.csv", ScriptedResponse(size=10_000_000, rate=1000))
    port = URL(daemon.url).port
    assert port is not None
    reader, writer = await asyncio.open_connection("127.0.0.1", port)

    async def ask(target: str) -> tuple[int, Any]:
        writer.write(published_sdk(target, port))
        async with asyncio.timeout(CONDITION_TIMEOUT):
            status, *fields = (await reader.readuntil(b"\r\n\r\n")).decode().rstrip().split("\r\n")
            [length] = [field.split(": ")[1] for field in fields if field.lower().startswith("content-length: ")]
            return int(status.split()[1]), json.loads(await reader.readexactly(int(length)))

    try:
        # Call of the package:
        # downloads.fetch("Downloads/new films", {download, filename: "renamed data.csv", timeout: 600})
        url = f"{origin.url('/slow/data.csv')}?a=b&c=d+e"
        encoded = quote_plus(url)
        status, started = await ask(
            f"/Downloads%2Fnew%20films?download=&download={encoded}&filename=renamed+data.csv&timeout=600"
        )
        assert (status, started["success"], started["error"]) == (201, True, None)
        assert started["path"] == "Downloads/new films/renamed data.csv"
        # The package: downloads.listActive("Downloads/new films", {downloads: ""})
        status, listed = await ask("/Downloads%2Fnew%20films?downloads=&downloads=")
        assert status == 200
        assert [(entry["id"], entry["url"]) for entry in listed["downloads"]] == [(started["download_id"], url)]
        assert (await ask("/Downloads%2Fold?downloads=&downloads="))[1] == {"downloads": []}
        # The package: downloads.listGlobal()
        status, listed = await ask("/api/v1/downloads")
        assert (status, [entry["id"] for entry in listed["downloads"]]) == (200, [started["download_id"]])
        # The package: downloads.fetch("Downloads", {download: "ftp://files.example.com/data.csv"})
        status, refused = await ask("/Downloads?download=&download=ftp%3A%2F%2Ffiles.example.com%2Fdata.csv")
        assert (status, refused["filename"], refused["error"]) == (400, "data.csv", "INVALID_URL")
        # The package: downloads.getHistory({download_history: ""})
        status, past = await ask("/?download_history=&download_history=")
        assert (status, [entry["id"] for entry in past["history"]]) == (200, [refused["download_id"]])
    finally:
        writer.close()
