"""Imports from the upload to the last file on disk."""

import asyncio
import base64
import contextlib
import io
import json
import os
import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest
from support.daemon_process import DEFAULT_CONFIG, TOKEN, USER, DaemonProcess
from support.event_reader import open_event_stream
from support.file_tree import contents_below
from support.import_files import EXPORT, packed, slack_file
from support.nginx_origin import NginxOrigin
from support.origin.content import expected_bytes, expected_sha256
from support.origin.origin import Origin, Request
from support.origin.scripted_response import ScriptedResponse, error_response
from support.small_disk import daemon_on_disk, path_seen_by
from support.waiting import wait_until

from downloadd.records.database import DATABASE_FILE_NAME

UPLOAD = {"binaryContent": "", "contentType": "a/b", "fileName": "x", "importerKey": "slack"}


async def upload(daemon: DaemonProcess, key: str, data: bytes, name: str = "export.zip") -> tuple[int, dict[str, Any]]:
    body = {
        "binaryContent": base64.b64encode(data).decode(),
        "contentType": "application/zip",
        "fileName": name,
        "importerKey": key,
    }
    return await daemon.request("POST", "/api/v1/uploadImportFile", json=body)


async def file_data(daemon: DaemonProcess) -> dict[str, Any]:
    """Return the content of the uploaded file once it has been read."""

    async def is_read() -> dict[str, Any] | None:
        status, data = await daemon.request("GET", "/api/v1/getImportFileData")
        assert status == 200, data
        return None if data.get("waiting") else data

    return dict(await wait_until(is_read))


async def current(daemon: DaemonProcess) -> dict[str, Any]:
    return dict((await daemon.request("GET", "/api/v1/getCurrentImportOperation"))[1]["operation"])


async def done(daemon: DaemonProcess, seconds: float = 30) -> dict[str, Any]:
    async def is_finished() -> dict[str, Any] | None:
        operation = await current(daemon)
        return operation if operation["status"] in {"importer_done", "importer_import_failed"} else None

    return dict(await wait_until(is_finished, seconds))


async def select_all(daemon: DaemonProcess) -> None:
    selection = {"input": {"users": {"all": True}, "channels": {"all": True}}}
    assert await daemon.request("POST", "/api/v1/startImport", json=selection) == (200, {"success": True})


async def download_pending(daemon: DaemonProcess, what: str = "Files", **query: str) -> int:
    status, answer = await daemon.request("POST", f"/api/v1/downloadPending{what}", params=query)
    assert (status, answer["success"]) == (200, True)
    return int(answer["count"])


def manifest(daemon: DaemonProcess) -> list[dict[str, Any]]:
    (written,) = (content for path, content in daemon.files().items() if path.endswith("/manifest.jsonl"))
    return [json.loads(line) for line in written.splitlines()]


def size_of(id: str) -> int:
    return 1000 + int(id[1:])


def export(origin: Origin, ids: list[str], **fields: Any) -> dict[str, Any]:
    """Return an export with one channel that names these files of the origin."""
    return {
        "users.json": [{"id": "U1", "name": "ann", "profile": {"image_512": origin.url("/avatar.png?token=s3cret")}}],
        "channels.json": [{"id": "C1", "name": "general"}, {"id": "C2", "name": "empty"}],
        "general/2020-01-01.json": [
            {
                "user": "U1",
                "ts": "1531763348.5",
                "files": [
                    slack_file(
                        id,
                        size=size_of(id),
                        name=f"{id}.gif",
                        url_private_download=origin.url(f"/{id}?t=xoxe-s3cret"),
                        **fields,
                    )
                ],
            }
            for id in ids
        ],
    }


def serve(origin: Origin) -> None:
    """Serve each file of `export` with its own content."""

    def answer(request: Request) -> ScriptedResponse:
        name = request.path.partition("?")[0].strip("/")
        if name == "avatar.png":
            return ScriptedResponse(size=77, content_type="image/png")
        return ScriptedResponse(size=size_of(name), seed=int(name[1:]), content_type="image/gif", etag=f'"{name}"')

    origin.set_fallback(answer)


async def test_the_examples_of_the_specification_hold_before_the_first_import(daemon: DaemonProcess) -> None:
    ask = daemon.request
    assert await ask("GET", "/api/v1/getImportFileData") == (
        200,
        {"users": [], "channels": [], "message_count": 0, "success": True},
    )
    assert await ask("POST", "/api/v1/downloadPendingFiles") == (200, {"success": True, "count": 0})
    status, operations = await ask("GET", "/api/v1/getLatestImportOperations")
    (operation,) = operations
    assert status == 200
    assert len(operation["_id"]) == 17
    assert {key: operation[key] for key in ("type", "importerKey", "status", "valid", "user")} == {
        "type": "Pending Files",
        "importerKey": "pending-files",
        "status": "importer_done",
        "valid": True,
        "user": USER,
    }
    assert isinstance(operation["ts"], int)
    assert operation["_updatedAt"].endswith("Z")
    assert "file" not in operation


async def test_a_slack_export_is_saved_in_one_folder_for_each_channel(daemon: DaemonProcess, origin: Origin) -> None:
    serve(origin)
    ids = [f"F{number}" for number in range(1, 31)]
    assert await upload(daemon, "slack", packed(export(origin, ids))) == (200, {"success": True})
    operation = await current(daemon)
    assert (operation["status"], operation["type"], operation["contentType"]) == (
        "importer_file_loaded",
        "Slack",
        "application/zip",
    )
    assert operation["file"].endswith(f"_{USER}_export.zip")
    data = await file_data(daemon)
    assert data["message_count"] == 30
    assert data["users"] == [
        {"user_id": "U1", "username": "ann", "email": "", "is_deleted": False, "is_bot": False, "do_import": True,
         "is_email_taken": False}
    ]  # fmt: skip
    assert [channel["channel_id"] for channel in data["channels"]] == ["C1", "C2"]
    selection = {
        "users": data["users"],
        "channels": [{**data["channels"][0]}, {**data["channels"][1], "do_import": False}],
    }
    assert await daemon.request("POST", "/api/v1/startImport", json={"input": selection}) == (200, {"success": True})
    assert (await current(daemon))["status"] == "importer_done"
    assert await download_pending(daemon) == 30
    assert await download_pending(daemon) == 0
    operations = (await daemon.request("GET", "/api/v1/getLatestImportOperations"))[1]
    pending = next(one for one in operations if one["type"] == "Pending Files" and one["count"]["total"] == 30)

    async def all_ended() -> bool:
        listed = (await daemon.request("GET", "/api/v1/getLatestImportOperations"))[1]
        return any(one["_id"] == pending["_id"] and one["status"] == "importer_done" for one in listed)

    await wait_until(all_ended)
    files = daemon.files()
    (manifest,) = (path for path in files if path.endswith("manifest.jsonl"))
    top = manifest.rpartition("/")[0]
    assert top.startswith("Imports/20")
    assert top.endswith(" export")
    assert {path for path in files if path != manifest} == {f"{top}/general/{id}-{id}.gif" for id in ids}
    for id in ids:
        assert files[f"{top}/general/{id}-{id}.gif"] == expected_bytes(int(id[1:]), 0, size_of(id))
    lines = [json.loads(line) for line in files[manifest].splitlines()]
    assert len(lines) == 30
    assert lines[0] == {
        "file_id": "F1",
        "channel": "general",
        "user": "U1",
        "message_time": 1531763348.5,
        "url": lines[0]["url"],
        "path": f"{top}/general/F1-F1.gif",
        "size": size_of("F1"),
        "sha256": expected_sha256(1, size_of("F1")),
        "status": "completed",
        "error": None,
    }
    assert "s3cret" not in files[manifest].decode()
    assert "s3cret" not in str(await daemon.history())
    assert {(entry["status"], entry["operation"]) for entry in await daemon.history()} == {
        ("completed", pending["_id"])
    }
    assert "s3cret" not in daemon.log.read_text()


async def test_avatars_have_a_folder_of_their_own(daemon: DaemonProcess, origin: Origin) -> None:
    serve(origin)
    await upload(daemon, "slack", packed(export(origin, ["F1"])))
    await file_data(daemon)
    await select_all(daemon)
    assert await download_pending(daemon, "Avatars") == 1
    operation = await done(daemon)
    assert (operation["type"], operation["count"]) == (
        "Pending Avatars",
        {"completed": 1, "total": 1, "error": 0, "given_up": 0, "skipped": 0},
    )
    (path,) = (path for path in daemon.files() if not path.endswith(".jsonl"))
    assert path.endswith("/avatars/U1-ann")


async def test_a_failed_file_is_retried_on_request(daemon: DaemonProcess, origin: Origin) -> None:
    serve(origin)
    origin.script("/F2", [error_response(404), ScriptedResponse(size=size_of("F2"), seed=2, content_type="image/gif")])
    await upload(daemon, "slack", packed(export(origin, ["F1", "F2"])))
    await file_data(daemon)
    await select_all(daemon)
    assert await download_pending(daemon) == 2
    assert (await done(daemon))["count"] == {"completed": 1, "total": 2, "error": 1, "given_up": 0, "skipped": 0}
    status, progress = await daemon.request("GET", "/api/v1/getImportProgress")
    assert (status, progress["key"], progress["name"], progress["step"]) == (
        200, "pending-files", "Pending Files", "importer_done",
    )  # fmt: skip
    assert [(line["file_id"], line["status"], line["error"]) for line in manifest(daemon)] == [
        ("F1", "completed", None),
        ("F2", "failed", "REMOTE_FILE_NOT_FOUND"),
    ]
    assert await download_pending(daemon) == 0
    assert await download_pending(daemon, retry="true") == 1
    assert (await done(daemon))["count"] == {"completed": 1, "total": 1, "error": 0, "given_up": 0, "skipped": 0}
    assert len([path for path in daemon.files() if path.endswith(".gif")]) == 2
    assert [(line["file_id"], line["status"]) for line in manifest(daemon)] == [
        ("F1", "completed"),
        ("F2", "completed"),
    ]
    # Another operation on the same import adds lines to the manifest.
    assert await download_pending(daemon, "Avatars") == 1
    await done(daemon)
    assert {line["file_id"] for line in manifest(daemon)} == {"U1", "F1", "F2"}


async def test_a_file_that_a_user_retried_is_not_fetched_twice(daemon: DaemonProcess, origin: Origin) -> None:
    serve(origin)
    for number in (1, 2):
        slow = ScriptedResponse(
            size=size_of(f"F{number}"), seed=number, content_type="image/gif", rate=0 if number == 1 else 300
        )
        origin.script(f"/F{number}", [error_response(404), slow])
    await upload(daemon, "slack", packed(export(origin, ["F1", "F2"])))
    await file_data(daemon)
    await select_all(daemon)
    assert await download_pending(daemon) == 2
    assert (await done(daemon))["count"] == {"completed": 0, "total": 2, "error": 2, "given_up": 0, "skipped": 0}
    failed = {entry["filename"]: entry["id"] for entry in await daemon.history()}
    for id in failed.values():
        assert (await daemon.control(id, "retry"))[0] == 200
    await daemon.wait_until_finished(failed["F1-F1.gif"])
    # One file is complete, and one is being fetched.
    assert await download_pending(daemon, retry="true") == 1
    assert (await done(daemon))["count"] == {"completed": 1, "total": 1, "error": 0, "given_up": 0, "skipped": 0}
    assert [len(origin.requests(f"/F{number}")) for number in (1, 2)] == [2, 2]
    assert [line["status"] for line in manifest(daemon)] == ["completed", "completed"]
    assert await download_pending(daemon) == 0


async def test_an_export_that_is_imported_twice_has_two_folders(daemon: DaemonProcess, origin: Origin) -> None:
    serve(origin)
    for _ in range(2):
        await upload(daemon, "slack", packed(export(origin, ["F1"])))
        started = int((await current(daemon))["ts"]) // 1000
        await file_data(daemon)
        await select_all(daemon)
        assert await download_pending(daemon) == 1
        await done(daemon)
        await wait_until(lambda second=started: int(time.time()) > second)
    folders = {path.split("/")[1] for path in daemon.files()}
    assert len(folders) == 2
    assert {path.partition("/")[2].partition("/")[2] for path in daemon.files()} == {
        "general/F1-F1.gif",
        "manifest.jsonl",
    }


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(
            ScriptedResponse(body=b"<html>sign in</html>", content_type="text/html; charset=utf-8"), id="page"
        ),
        pytest.param(ScriptedResponse(body=b"short", content_type="image/gif"), id="other size"),
    ],
)
async def test_a_sign_in_page_is_never_saved_as_the_file(
    daemon: DaemonProcess, origin: Origin, answer: ScriptedResponse
) -> None:
    origin.script("/F1", answer)
    await upload(daemon, "slack", packed(export(origin, ["F1"])))
    await file_data(daemon)
    await select_all(daemon)
    assert await download_pending(daemon) == 1
    assert (await done(daemon))["count"]["error"] == 1
    (entry,) = await daemon.history()
    assert entry["error"] == "UNEXPECTED_CONTENT"
    assert not [path for path in daemon.files() if path.endswith(".gif")]


async def test_a_kill_during_an_import_loses_and_duplicates_no_file(restartable: DaemonProcess, origin: Origin) -> None:
    serve(origin)
    await restartable.start()
    ids = [f"F{number}" for number in range(1, 401)]
    await upload(restartable, "slack", packed(export(origin, ids)))
    await file_data(restartable)
    await select_all(restartable)
    assert await download_pending(restartable) == 400
    for _ in range(3):
        await asyncio.sleep(0.15)
        await restartable.kill()
        await restartable.start()
    assert (await done(restartable, 60))["count"] == {
        "completed": 400,
        "total": 400,
        "error": 0,
        "given_up": 0,
        "skipped": 0,
    }
    assert len([path for path in restartable.files() if path.endswith(".gif")]) == 400
    assert len(await restartable.history()) == 400
    await wait_until(lambda: restartable.part_files() == [])


def generated(origin: str, *, messages: int, files: int) -> bytes:
    """Return an export of 50 channels with this number of messages and files."""
    members: dict[str, Any] = {
        "users.json": [{"id": f"U{number}", "name": f"u{number}"} for number in range(100)],
        "channels.json": [{"id": f"C{number}", "name": f"c{number}"} for number in range(50)],
    }
    each = range(messages // 50)
    for channel in range(50):
        day = []
        for number in each:
            message: dict[str, Any] = {"user": "U1", "ts": f"{1_500_000_000 + number}.5", "text": "hello " * 10}
            count = channel * len(each) + number
            if count % (messages // files) == 0:
                id = f"F{count // (messages // files)}"
                message["files"] = [slack_file(id, size=16384, url_private_download=f"{origin}/f?{id}")]
            day.append(message)
        members[f"c{channel}/2020-01-01.json"] = day
    return packed(members)


@pytest.mark.timeout(150)
async def test_a_large_export_is_read_fast_and_fetched_across_a_kill(
    restartable: DaemonProcess, nginx: NginxOrigin
) -> None:
    (nginx.www / "f").write_bytes(bytes(16384))
    await restartable.start()
    data = generated(nginx.http, messages=100_000, files=2_000)
    status, _ = await restartable.request("POST", "/api/v1/imports?importerKey=slack&fileName=big.zip", data=data)
    assert status == 201
    watch = restartable.stopwatch()
    assert (await file_data(restartable))["message_count"] == 100_000
    assert watch.seconds < 5
    assert restartable.resident_bytes() < 200 * 1024 * 1024
    await select_all(restartable)
    assert await download_pending(restartable) == 2_000

    async def some_are_there() -> bool:
        completed = (await current(restartable))["count"]["completed"]
        return bool(completed > 500)

    await wait_until(some_are_there, 60, every=0.3)
    await restartable.kill()
    await restartable.start()
    assert (await done(restartable, 100))["count"] == {
        "completed": 2_000,
        "total": 2_000,
        "error": 0,
        "given_up": 0,
        "skipped": 0,
    }
    assert len(list(restartable.root.rglob("*.gif"))) == 2_000
    await wait_until(lambda: restartable.part_files() == [])


async def test_an_export_can_be_read_again_after_a_kill_while_it_is_read(
    restartable: DaemonProcess, nginx: NginxOrigin
) -> None:
    await restartable.start()
    data = generated(nginx.http, messages=100_000, files=5_000)
    await restartable.request("POST", "/api/v1/imports?importerKey=slack&fileName=big.zip", data=data)
    assert (await restartable.request("GET", "/api/v1/getImportFileData"))[1].get("waiting") is True
    await restartable.kill()
    await restartable.start()
    assert (await file_data(restartable))["message_count"] == 100_000
    await select_all(restartable)
    assert await download_pending(restartable) == 5_000
    assert (await restartable.request("DELETE", f"/api/v1/imports/{(await current(restartable))['_id']}"))[0] == 200


async def test_an_upload_that_is_too_long_leaves_no_file(tmp_path: Any) -> None:
    async with DaemonProcess(tmp_path, config=DEFAULT_CONFIG + "[imports]\nmax_upload_size = 1000\n") as daemon:
        status, answer = await daemon.request("POST", "/api/v1/imports?importerKey=slack&fileName=x", data=b"x" * 2000)
        assert (status, answer["errorType"]) == (400, "error-file-too-large")
        assert list((daemon.state / "imports").iterdir()) == []


async def upload_list(daemon: DaemonProcess, nbytes: int) -> tuple[int, dict[str, Any]]:
    """Upload a list of URLs of about this length as a raw body."""
    line = b"https://example.org/" + b"x" * 79 + b"\n"
    return await daemon.request(
        "POST", "/api/v1/imports?importerKey=urls&fileName=u.txt", data=io.BytesIO(line * (nbytes // len(line)))
    )


async def test_uploads_leave_min_free_free(tmp_path: Path, disk: Path) -> None:
    config = DEFAULT_CONFIG.replace("min_free = 0", 'min_free = "12 MiB"')
    async with daemon_on_disk(tmp_path, disk, "size=32m", config=config) as daemon:
        kept = path_seen_by(daemon, daemon.state) / "imports"
        for nbytes in (30 << 20, 22 << 20):
            status, answer = await upload_list(daemon, nbytes)
            assert (status, answer["success"], answer["error"]) == (507, False, "INSUFFICIENT_STORAGE")
            assert "min_free" in answer["detail"]
            assert list(kept.iterdir()) == []
        # Together they do not fit: the bytes that each will write are reserved.
        results = await asyncio.gather(*(upload_list(daemon, 11 << 20) for _ in range(3)))
        assert 507 in {status for status, _ in results} <= {201, 507}
        space = os.statvfs(kept)
        # The records are on this disk too and are still written.
        assert space.f_bavail * space.f_frsize > (12 << 20) - 600_000


async def test_an_upload_that_fills_the_disk_is_refused_as_insufficient_storage(tmp_path: Path, disk: Path) -> None:
    async with daemon_on_disk(tmp_path, disk, "size=16m") as daemon:
        status, answer = await upload_list(daemon, 30 << 20)
        assert (status, answer["error"]) == (507, "INSUFFICIENT_STORAGE")
        assert answer["detail"] == "the upload cannot be stored: No space left on device"
        assert list((path_seen_by(daemon, daemon.state) / "imports").iterdir()) == []
        assert (await upload_list(daemon, 1000))[0] == 201


async def test_the_progress_of_an_import_has_events(daemon: DaemonProcess, origin: Origin) -> None:
    serve(origin)
    async with open_event_stream(daemon) as events:
        await upload(daemon, "slack", packed(export(origin, ["F1"])))
        await file_data(daemon)
        await select_all(daemon)
        await download_pending(daemon)

        def steps() -> list[str]:
            return [event.entry["status"] for event in events.events if event.name == "import"]

        await events.wait_until(lambda: "importer_importing_files" in steps() and steps()[-1] == "importer_done")
        assert steps()[0] == "importer_file_loaded"
        assert "importer_user_selection" in steps()


async def test_what_is_not_imported_is_counted_and_listed(daemon: DaemonProcess, origin: Origin) -> None:
    serve(origin)
    members = export(origin, ["F1"])
    gone = [{"id": f"F{number}", "mode": "tombstone"} for number in range(5, 9)]
    members["general/2020-01-01.json"].append({"ts": "7.5", "files": gone})
    members["readme.txt"] = "hello"
    await upload(daemon, "slack", packed(members))
    await file_data(daemon)
    assert (await current(daemon))["count"]["skipped"] == 5
    source = (await current(daemon))["_id"]
    await select_all(daemon)
    assert await download_pending(daemon) == 1
    run = await done(daemon)
    assert run["count"] == {"completed": 1, "total": 1, "error": 0, "given_up": 0, "skipped": 5}
    assert daemon.client is not None
    for id in (source, run["_id"]):
        url: str | None = f"{daemon.url}/api/v1/imports/{id}/skipped?limit=2"
        listed: list[dict[str, Any]] = []
        while url is not None:
            async with daemon.client.get(url) as response:
                listed += (await response.json())["skipped"]
                url = str(response.links["next"]["url"]) if "next" in response.links else None
        assert sorted((item["reason"], item["file_id"]) for item in listed) == [
            *(("deleted", f"F{number}") for number in range(5, 9)),
            ("unknown_entry", None),
        ]
    assert [line["status"] for line in manifest(daemon)] == ["completed", *(["skipped"] * 5)]
    assert (await daemon.request("GET", "/api/v1/imports/nobody/skipped"))[0] == 404


async def test_files_of_the_archive_are_taken_from_it_across_kills(restartable: DaemonProcess) -> None:
    await restartable.start()
    count = 300
    members: dict[str, Any] = {
        "users.json": [],
        "channels.json": [{"id": "C1", "name": "general"}],
        "general/1.json": [{"ts": "5", "files": [{"id": f"F{n}", "name": "a"}]} for n in range(count)],
        **{f"__uploads/F{n}/a": f"content {n}".encode() for n in range(count)},
    }
    await upload(restartable, "slack", packed(members))
    await file_data(restartable)
    await select_all(restartable)
    assert await download_pending(restartable) == count
    for _ in range(3):
        await asyncio.sleep(0.1)
        await restartable.kill()
        await restartable.start()
    assert (await done(restartable, 60))["count"] == {
        "completed": count,
        "total": count,
        "error": 0,
        "given_up": 0,
        "skipped": 0,
    }
    files = {path.rpartition("/")[2]: data for path, data in restartable.files().items() if "manifest" not in path}
    assert files == {f"F{n}-a": f"content {n}".encode() for n in range(count)}
    await wait_until(lambda: restartable.part_files() == [])
    assert list((restartable.state / "imports").iterdir()) == []


@pytest.mark.timeout(180)
async def test_kills_at_any_step_of_an_import_lose_and_duplicate_nothing(
    restartable: DaemonProcess, origin: Origin
) -> None:
    serve(origin)
    ids = [f"F{number}" for number in range(1, 101)]
    members = export(origin, ids)
    members["channels.json"].append({"id": "C3", "name": "other"})
    # Each file again in another channel, files in the archive, and files that were deleted.
    members["other/1.json"] = [
        *members["general/2020-01-01.json"],
        *({"ts": "5", "files": [{"id": f"G{n}", "name": "a"}]} for n in range(100)),
        *({"ts": "6", "files": [{"id": f"H{n}", "mode": "tombstone"}]} for n in range(50)),
    ]
    members |= {f"__uploads/G{n}/a": f"content {n}".encode() for n in range(100)}
    await restartable.start()
    await upload(restartable, "slack", packed(members))

    async def advance() -> bool:
        """Do the next step of the import; return True at its end."""
        operation = await current(restartable)
        if operation["importerKey"] == "pending-files":
            return bool(operation["status"] == "importer_done")
        if operation["status"] in {"importer_user_selection", "importer_importing_started"}:
            await select_all(restartable)
        elif operation["status"] == "importer_done":
            await download_pending(restartable)
        else:
            await restartable.request("GET", "/api/v1/getImportFileData")
        return False

    kills = iter((0, 1, 2, 3, 5, 8, 13, 21, 34, 55))
    async with asyncio.timeout(150):
        while not await advance():
            steps = next(kills, None)
            if steps is None:
                await asyncio.sleep(0.05)
                continue
            for _ in range(steps):
                await asyncio.sleep(0.01)
                await advance()
            await restartable.kill()
            await restartable.start()
    counts = (await current(restartable))["count"]
    assert counts == {"completed": 200, "total": 200, "error": 0, "given_up": 0, "skipped": 50}
    names = sorted(path.rpartition("/")[2] for path in restartable.files() if "manifest" not in path)
    assert names == sorted([*(f"{id}-{id}.gif" for id in ids), *(f"G{n}-a" for n in range(100))])
    assert len(await restartable.history()) == 100
    assert len(manifest(restartable)) == 250
    await wait_until(lambda: restartable.part_files() == [])


async def test_lists_of_checksums_verify_the_files_beside_them(daemon: DaemonProcess, origin: Origin) -> None:
    for name, seed in (("good", 1), ("bad", 2), ("given", 3)):
        origin.script(f"/d/{name}", ScriptedResponse(size=100, seed=seed))
    sums = f"{expected_sha256(1, 100)}  good\n{'0' * 64} *bad\n"
    origin.script("/d/SHA256SUMS", ScriptedResponse(body=sums.encode()))
    origin.script("/sums/given.sha256", ScriptedResponse(body=f"{expected_sha256(3, 100)}\n".encode()))
    lines = [origin.url(f"/d/{name}") for name in ("good", "bad", "SHA256SUMS", "given")]
    data = "\n".join((*lines, f"  checksum={origin.url('/sums/given.sha256')}", ""))
    await upload(daemon, "urls", data.encode(), "list.txt")
    await file_data(daemon)
    await select_all(daemon)
    assert await download_pending(daemon) == 5
    assert (await done(daemon))["count"] == {"completed": 4, "total": 5, "error": 1, "given_up": 0, "skipped": 0}
    outcomes = {line["url"].rpartition("/")[2]: line["error"] for line in manifest(daemon)}
    assert outcomes == {
        "good": None,
        "bad": "CHECKSUM_MISMATCH",
        "SHA256SUMS": None,
        "given": None,
        "given.sha256": None,
    }


@pytest.mark.parametrize("ended", [False, True])
async def test_a_list_of_checksums_verifies_files_after_the_history_is_removed_and_the_run_is_tried_again(
    daemon: DaemonProcess, origin: Origin, ended: bool
) -> None:
    slow = asyncio.Event()
    origin.script("/q/SHA256SUMS", ScriptedResponse(body=f"{'0' * 64}  a.bin\n".encode()))
    origin.script("/q/a.bin", ScriptedResponse(size=100))
    origin.script("/s/MD5SUMS", ScriptedResponse(body=b"none", head_event=slow))
    lines = [origin.url(path) for path in ("/q/SHA256SUMS", "/q/a.bin", "/s/MD5SUMS")]
    await upload(daemon, "urls", "\n".join((*lines, "")).encode(), "list.txt")
    await file_data(daemon)
    await select_all(daemon)
    assert await download_pending(daemon) == 3

    async def has_list() -> bool:
        answer = await daemon.request("DELETE", "/", params={"download_history": "", "status": "completed"})
        return bool(answer[1]["removed"])

    await wait_until(has_list)
    if ended:
        id = (await current(daemon))["_id"]
        assert (await daemon.request("DELETE", f"/api/v1/imports/{id}"))[0] == 200
        slow.set()
        assert await download_pending(daemon, retry="true") == 2
    slow.set()
    await done(daemon)
    outcomes = [(line["status"], line["error"]) for line in manifest(daemon)]
    assert outcomes == [
        ("completed", None),
        ("failed", "CHECKSUM_MISMATCH"),
        ("completed", None),
        ("skipped", "unusable_list"),
    ]
    assert manifest(daemon)[0]["path"].endswith("/SHA256SUMS")


@pytest.mark.parametrize("key", ["urls", "csv", "metalink"])
async def test_files_of_a_list_are_saved_in_its_directories(daemon: DaemonProcess, origin: Origin, key: str) -> None:
    origin.script("/a", ScriptedResponse(size=100, etag='"a"'))
    url, checksum = origin.url("/a"), f"sha-256={expected_sha256(0, 100)}"
    data = {
        "urls": f"{url}\n  dir=x/y\n  out=z.bin\n  checksum={checksum}\n",
        "csv": f"url,directory,filename,checksum\n{url},x/y,z.bin,{checksum}\n{url}?2,../up,b,\n",
        "metalink": f'<metalink xmlns="urn:ietf:params:xml:ns:metalink"><file name="x/y/z.bin"><size>100</size>'
        f'<hash type="sha-256">{expected_sha256(0, 100)}</hash><url>{url}</url></file></metalink>',
    }[key]
    assert (await upload(daemon, key, data.encode(), f"list.{key}"))[0] == 200
    assert [channel["channel_id"] for channel in (await file_data(daemon))["channels"]] == ["__files__"]
    await select_all(daemon)
    assert await download_pending(daemon) == 1
    assert (await done(daemon))["count"] == {
        "completed": 1,
        "total": 1,
        "error": 0,
        "given_up": 0,
        "skipped": int(key == "csv"),
    }
    (path,) = (path for path in daemon.files() if not path.endswith(".jsonl"))
    assert path.endswith(" list/x/y/z.bin")


async def rpc(daemon: DaemonProcess, method: str, *params: Any) -> dict[str, Any]:
    """Return the answer to a call of aria2's RPC."""
    assert daemon.client is not None
    call = {"id": "1", "method": f"aria2.{method}", "params": [f"token:{TOKEN}", *params]}
    async with daemon.client.post(f"{daemon.url}/jsonrpc", json=call) as response:
        answer: dict[str, Any] = await response.json(content_type=None)
        return answer


async def test_a_session_of_aria2_continues_as_it_was_saved(restartable: DaemonProcess, origin: Origin) -> None:
    origin.script("/slow", ScriptedResponse(size=1_000_000, rate=1000))
    origin.script("/fails", error_response(503))
    daemon = restartable
    await daemon.start()
    session = (
        f"{origin.url('/paused')}\t\n pause=true\n max-download-limit=100K\n dir=d\n"
        f"{origin.url('/slow')}\t\n max-download-limit=1M\n split=1\n"
        f"{origin.url('/fails')}\t\n max-tries=1\n gid=cec159b43114e620\n"
    )
    assert (await upload(daemon, "urls", session.encode(), "session.txt"))[0] == 200
    await file_data(daemon)
    await select_all(daemon)
    assert await download_pending(daemon) == 3
    await wait_until(lambda: origin.requests("/slow"))

    async def has_failed() -> bool:
        return len(await daemon.history(status="failed")) == 1

    await wait_until(has_failed)
    assert len(origin.requests("/fails")) == 1
    await daemon.kill()
    await daemon.start()
    entries = {entry["url"].rpartition("/")[2]: entry for entry in await daemon.active()}
    assert {name: entry["speed_limit"] for name, entry in entries.items()} == {"paused": 102_400, "slow": 1 << 20}
    assert entries["paused"]["status"] == "paused"
    assert entries["paused"]["directory"].endswith(" session/d")
    assert origin.requests("/paused") == []
    assert (await rpc(daemon, "tellStatus", "cec159b43114e620", ["status"]))["result"] == {"status": "error"}
    # The earlier download keeps its gid when the file is tried again.
    assert await download_pending(daemon, retry="true") == 1

    async def have_failed() -> bool:
        return len(await daemon.history(status="failed")) == 2

    await wait_until(have_failed)
    assert (await rpc(daemon, "tellStatus", "cec159b43114e620", ["status"]))["result"] == {"status": "error"}


async def test_header_options_of_a_list_are_sent_and_shown_nowhere(daemon: DaemonProcess, origin: Origin) -> None:
    origin.script("/a", ScriptedResponse(size=100))
    data = f"{origin.url('/a')}\n  header=Cookie: a=s3cret\n  header=X-Key: s3cret\n  referer=http://a/?s3cret\n"
    await upload(daemon, "urls", data.encode(), "list.txt")
    shown = [await file_data(daemon)]
    await select_all(daemon)
    assert await download_pending(daemon) == 1
    shown.append(await done(daemon))
    [request] = origin.requests("/a")
    assert [request.field(name) for name in ("Cookie", "X-Key", "Referer")] == [
        "a=s3cret",
        "s3cret",
        "http://a/?s3cret",
    ]
    manifest = next(content for path, content in daemon.files().items() if path.endswith("manifest.jsonl"))
    assert "s3cret" not in f"{shown} {await daemon.history()} {daemon.log.read_text()} {manifest!r}"
    # The outcomes of the files are recorded with the state of the operation.
    assert await daemon.stop() == 0
    stored = b"".join(contents_below(daemon.state).values())
    assert b"s3cret" not in stored


async def test_no_file_is_overwritten_by_the_manifest(daemon: DaemonProcess, origin: Origin) -> None:
    """Use the name of the manifest in a list, and in the response of an origin."""
    for seed, path in enumerate(("/named", "/manifest.jsonl")):
        origin.script(path, ScriptedResponse(size=100, seed=seed))
    data = f"{origin.url('/named')}\n  out=manifest.jsonl\n{origin.url('/manifest.jsonl')}\n"
    await upload(daemon, "urls", data.encode(), "list.txt")
    await file_data(daemon)
    await select_all(daemon)
    assert await download_pending(daemon) == 2
    assert (await done(daemon))["count"]["completed"] == 2
    files = {path.rpartition("/")[2]: content for path, content in daemon.files().items()}
    lines = [json.loads(line) for line in files.pop("manifest.jsonl").splitlines()]
    assert sorted(files.values()) == sorted(expected_bytes(seed, 0, 100) for seed in (0, 1))
    assert {line["path"].rpartition("/")[2] for line in lines} == set(files)
    assert [line["status"] for line in lines] == ["completed"] * 2


async def test_an_import_may_have_a_long_name_in_any_script(daemon: DaemonProcess, origin: Origin) -> None:
    origin.script("/a", ScriptedResponse(size=100))
    await upload(daemon, "urls", origin.url("/a").encode(), "\u6f22" * 120 + ".txt")
    await file_data(daemon)
    await select_all(daemon)
    await download_pending(daemon)
    assert (await done(daemon))["count"]["completed"] == 1


async def test_an_impossible_file_size_does_not_stop_an_import(daemon: DaemonProcess, origin: Origin) -> None:
    serve(origin)
    members = export(origin, ["F1", "F2"])
    members["general/2020-01-01.json"][0]["files"][0]["size"] = 1 << 64
    await upload(daemon, "slack", packed(members))
    await file_data(daemon)
    await select_all(daemon)
    await download_pending(daemon)
    assert (await done(daemon))["count"] == {"completed": 2, "total": 2, "error": 0, "given_up": 0, "skipped": 0}


@pytest.mark.parametrize(
    ("lines", "skipped"),
    [
        ("ann:s3cret@h.example/x\n//ann:s3cret@h.example/x\nh.example/?token=s3cret\n", 3),
        ("http://a.example/1\n  out=http://ann:s3cret@h.example/x\n", 1),
        (f"http://a.example/1\n  dir=../?token=s3cret\nhttp://a.example/2\n  out={'a' * 60}s3cret@h/x\n", 2),
        ("http://a.example/1\n  checksum=ann:s3cret@h.example\n", 1),
    ],
)
async def test_no_line_of_a_list_is_logged_with_its_credentials(
    daemon: DaemonProcess, lines: str, skipped: int
) -> None:
    await upload(daemon, "urls", f"http://a.example/\n{lines}".encode(), "list.txt")
    await file_data(daemon)
    assert len(await daemon.wait_for_log("import_entry_skipped", skipped)) == skipped
    assert "s3cret" not in daemon.log.read_text()


async def test_a_directory_of_a_list_is_checked_by_its_final_path(daemon: DaemonProcess, origin: Origin) -> None:
    origin.script("/a", ScriptedResponse(size=100))
    long = "/".join(["d" * 254] * 12)
    await upload(daemon, "urls", f"{origin.url('/a')}\n  dir=api/v2\n{origin.url('/b')}\n  dir={long}\n".encode(), "l")
    await file_data(daemon)
    [skipped] = await daemon.wait_for_log("import_entry_skipped")
    assert skipped["detail"] == "the directory is longer than 3072 bytes"
    await select_all(daemon)
    assert await download_pending(daemon) == 1
    assert (await done(daemon))["count"] == {"completed": 1, "total": 1, "error": 0, "given_up": 0, "skipped": 1}
    assert [path.partition(" l/")[2] for path in daemon.files() if not path.endswith(".jsonl")] == ["api/v2/a"]


@pytest.mark.parametrize(
    ("field", "name"), [("fileName", "\u6f22" * 256), ("fileName", "x" * 1_000_000), ("contentType", "x" * 256)]
)
async def test_fields_that_every_listing_repeats_are_short(daemon: DaemonProcess, field: str, name: str) -> None:
    body = {**UPLOAD, field: name}
    status, answer = await daemon.request("POST", "/api/v1/uploadImportFile", json=body)
    assert (status, answer["errorType"]) == (400, "error-invalid-params")
    assert field in answer["error"]
    if len(name) < 1000:
        headers = {"Content-Type": name} if field == "contentType" else {}
        query = {"importerKey": "urls", "fileName": name if field == "fileName" else "x"}
        status, answer = await daemon.request(
            "POST", "/api/v1/imports", params=query, data=b"http://a/", headers=headers
        )
        assert (status, answer["errorType"]) == (400, "error-invalid-params")
    assert (await daemon.request("GET", "/api/v1/getLatestImportOperations"))[1] == []


async def test_control_and_bidi_characters_of_a_name_are_removed(daemon: DaemonProcess) -> None:
    body = {
        **UPLOAD,
        "binaryContent": base64.b64encode(b"http://a.example/").decode(),
        "importerKey": "urls",
        "fileName": "a\x1b[31m\u202egnp\u2066.t\0xt\n\ud800",
        "contentType": "text/\x07plain",
    }
    raw = json.dumps(body).replace("\\ud800", "")
    headers = {"Content-Type": "application/json"}
    assert (await daemon.request("POST", "/api/v1/uploadImportFile", data=raw, headers=headers))[0] == 200
    operation = await current(daemon)
    assert operation["file"].endswith("_a[31mgnp.txt")
    assert operation["contentType"] == "text/plain"


async def test_another_file_of_the_same_name_is_never_read_as_the_public_file(tmp_path: Any, origin: Origin) -> None:
    config = f'{DEFAULT_CONFIG}[[directories]]\npath = "Imports"\nconflict = "skip"\n'
    origin.script("/list", ScriptedResponse(body=origin.url("/right").encode()))
    async with DaemonProcess(tmp_path, config=config) as daemon:
        (daemon.root / "Imports").mkdir(parents=True)
        (daemon.root / "Imports" / "list").write_text(origin.url("/WRONG"))
        origin.script("/right", ScriptedResponse(size=100))
        body = {"fileUrl": origin.url("/list"), "importerKey": "urls"}
        assert await daemon.request("POST", "/api/v1/downloadPublicImportFile", json=body) == (200, {"success": True})
        assert (await file_data(daemon))["success"]
        await select_all(daemon)
        assert await download_pending(daemon) == 1
        await done(daemon)
        assert [line["url"] for line in manifest(daemon)] == [origin.url("/right")]
        assert (daemon.root / "Imports" / "list").read_text() == origin.url("/WRONG")


async def test_an_incomplete_public_file_is_not_read(daemon: DaemonProcess, origin: Origin) -> None:
    origin.script("/list", ScriptedResponse(size=1_000_000, rate=1000))
    body = {"fileUrl": origin.url("/list"), "importerKey": "urls"}
    await daemon.request("POST", "/api/v1/downloadPublicImportFile", json=body)
    await wait_until(daemon.part_files)
    (download,) = await daemon.active()
    # Another program may have created a file of this name.
    (daemon.root / "Imports" / "list").write_text(origin.url("/WRONG"))
    assert (await daemon.control(download["id"], "cancel"))[0] == 200
    operation = await done(daemon)
    assert (operation["status"], "was not fetched" in operation["reason"]) == ("importer_import_failed", True)
    assert "None" not in operation["reason"]


async def test_other_files_in_the_upload_directory_are_kept_and_do_not_stop_the_start(
    restartable: DaemonProcess,
) -> None:
    await restartable.start()
    await upload(restartable, "slack", packed(EXPORT))
    id = (await current(restartable))["_id"]
    await restartable.kill()
    folder = restartable.state / "imports"
    (folder / "lost+found").mkdir()
    (folder / "notes.txt").write_text("keep me")
    (folder / ("a" * 17)).mkdir()
    (folder / ("b" * 17)).write_text("of an operation that is over")
    (folder / ("c" * 17)).symlink_to(folder / "notes.txt")
    await restartable.start()
    assert {path.name for path in folder.iterdir()} == {id, "lost+found", "notes.txt", "a" * 17, "c" * 17}
    assert (await file_data(restartable))["message_count"] == 8


@pytest.mark.parametrize("end", [";token=s3cret", "#s3cret", "?token=s3cret", ""])
async def test_secrets_in_the_url_of_a_public_file_are_not_shown(
    daemon: DaemonProcess, origin: Origin, end: str
) -> None:
    origin.set_fallback(lambda request: ScriptedResponse(body=b"http://h.example/x\n"))
    url = origin.url(f"/list{end}" if end else "").replace("http://", "http://ann:s3cret@")
    body = {"fileUrl": url, "importerKey": "urls"}
    assert await daemon.request("POST", "/api/v1/downloadPublicImportFile", json=body) == (200, {"success": True})
    await file_data(daemon)
    shown = [await current(daemon), await daemon.history(), sorted(daemon.files()), daemon.log.read_text()]
    assert "s3cret" not in json.dumps(shown)


async def test_a_public_file_is_fetched_by_the_daemon_itself(daemon: DaemonProcess, origin: Origin) -> None:
    serve(origin)
    origin.script("/public/export.zip", ScriptedResponse(body=packed(export(origin, ["F1"]))))
    body = {"fileUrl": origin.url("/public/export.zip"), "importerKey": "slack"}
    assert await daemon.request("POST", "/api/v1/downloadPublicImportFile", json=body) == (200, {"success": True})
    assert (await file_data(daemon))["message_count"] == 1
    await select_all(daemon)
    assert await download_pending(daemon) == 1
    assert (await done(daemon))["count"]["completed"] == 1


async def test_a_large_upload_is_streamed_unchanged(daemon: DaemonProcess, origin: Origin) -> None:
    serve(origin)
    members = export(origin, ["F1"])
    members["general/2020-01-02.json"] = [{"ts": str(n), "text": "x" * 1000, "user": "U1"} for n in range(20_000)]
    status, answer = await daemon.request(
        "POST", "/api/v1/imports?importerKey=slack&fileName=big.zip", data=packed(members)
    )
    assert (status, answer["operation"]["status"]) == (201, "importer_file_loaded")
    assert (await file_data(daemon))["message_count"] == 20_001


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (
            {"binaryContent": "!!!", "contentType": "a/b", "fileName": "x", "importerKey": "slack"},
            "error-invalid-params",
        ),
        (
            {"binaryContent": "UEs=", "contentType": "a/b", "fileName": "x", "importerKey": "slack"},
            "error-invalid-file",
        ),
        (
            {"binaryContent": "", "contentType": "a/b", "fileName": "x", "importerKey": "hip"},
            "error-importer-not-defined",
        ),
        ({"fileName": "x"}, "error-invalid-params"),
        ([], "error-invalid-params"),
    ],
)
async def test_an_invalid_upload_is_a_400_in_the_format_of_rocket_chat(
    daemon: DaemonProcess, body: Any, code: str
) -> None:
    status, answer = await daemon.request("POST", "/api/v1/uploadImportFile", json=body)
    assert (status, answer["success"], answer["errorType"]) == (400, False, code)
    assert answer["error"].endswith(f" [{code}]")
    assert (await daemon.request("GET", "/api/v1/getLatestImportOperations"))[1] == []
    assert list((daemon.state / "imports").iterdir()) == []


async def test_calls_in_the_wrong_state_or_without_a_selection_are_refused(daemon: DaemonProcess) -> None:
    ask = daemon.request
    status, answer = await ask("POST", "/api/v1/startImport", json={"input": {"users": {"all": True}}})
    assert (status, answer["errorType"]) == (400, "error-import-operation-invalid")
    await upload(daemon, "slack", packed(EXPORT))
    await file_data(daemon)
    selections: list[Any] = [{"users": {"list": ["nobody"]}}, {}, {"users": [], "channels": []}]
    for selection in selections:
        status, answer = await ask("POST", "/api/v1/startImport", json={"input": selection})
        assert (status, answer["errorType"]) == (400, "error-nothing-selected")
    selections = ["all", {"users": 5}, {"users": [{"x": 1}]}]
    for selection in selections:
        status, answer = await ask("POST", "/api/v1/startImport", json={"input": selection})
        assert (status, answer["errorType"]) == (400, "error-invalid-params")
    await select_all(daemon)


async def test_a_new_upload_makes_the_earlier_one_invalid(daemon: DaemonProcess) -> None:
    for _ in range(2):
        await upload(daemon, "slack", packed(EXPORT))
    newer, older = (await daemon.request("GET", "/api/v1/getLatestImportOperations"))[1]
    assert (newer["valid"], older["valid"]) == (True, False)
    assert [kept.name for kept in (daemon.state / "imports").iterdir()] == [newer["_id"]]


async def test_a_file_that_a_newer_upload_replaced_is_removed(daemon: DaemonProcess, origin: Origin) -> None:
    release = asyncio.Event()
    data = packed(EXPORT)
    origin.script("/e.zip", ScriptedResponse(body=data, body_event=release))
    body = {"importerKey": "slack", "fileUrl": origin.url("/e.zip")}
    assert (await daemon.request("POST", "/api/v1/downloadPublicImportFile", json=body))[0] == 200
    await origin.wait_requested("/e.zip")
    await upload(daemon, "slack", data)
    release.set()
    await wait_until(daemon.history)

    async def only_the_newer_upload_exists() -> bool:
        (newer, _) = sorted(
            (await daemon.request("GET", "/api/v1/getLatestImportOperations"))[1], key=lambda one: not one["valid"]
        )
        return [kept.name for kept in (daemon.state / "imports").iterdir()] == [newer["_id"]]

    await wait_until(only_the_newer_upload_exists)
    assert (await file_data(daemon))["message_count"] > 0


async def test_downloads_continue_across_a_new_upload_and_a_kill(restartable: DaemonProcess, origin: Origin) -> None:
    serve(origin)
    release = asyncio.Event()
    origin.script(
        "/F1", ScriptedResponse(size=size_of("F1"), seed=1, content_type="image/gif", etag='"F1"', body_event=release)
    )
    await restartable.start()
    await upload(restartable, "slack", packed(export(origin, ["F1"])))
    await file_data(restartable)
    await select_all(restartable)
    assert await download_pending(restartable) == 1
    await origin.wait_requested("/F1")
    await upload(restartable, "slack", packed(EXPORT))
    await restartable.kill()
    release.set()
    await restartable.start()

    async def is_done() -> bool:
        latest = (await restartable.request("GET", "/api/v1/getLatestImportOperations"))[1]
        return any(one["type"] == "Pending Files" and one["status"] == "importer_done" for one in latest)

    await wait_until(is_done)
    assert len(list(restartable.root.rglob("*.gif"))) == 1


async def test_cancelling_an_operation_cancels_its_downloads(daemon: DaemonProcess, origin: Origin) -> None:
    origin.set_fallback(lambda _: ScriptedResponse(size=10_000_000, rate=1000, content_type="image/gif"))
    members = export(origin, ["F1", "F2"])
    for message in members["general/2020-01-01.json"]:
        message["files"][0]["size"] = None
    await upload(daemon, "slack", packed(members))
    await file_data(daemon)
    await select_all(daemon)
    assert await download_pending(daemon) == 2
    await wait_until(lambda: origin.active("/F1") + origin.active("/F2") == 2)
    id = (await current(daemon))["_id"]
    status, answer = await daemon.request("DELETE", f"/api/v1/imports/{id}")
    assert (status, answer["operation"]["status"]) == (200, "importer_import_cancelled")
    assert await daemon.request("DELETE", f"/api/v1/imports/{id}") == (200, answer)
    assert {entry["status"] for entry in await daemon.history()} == {"cancelled"}
    assert await daemon.active() == []
    assert (await daemon.request("DELETE", "/api/v1/imports/nobody"))[0] == 404
    assert await download_pending(daemon) == 0
    assert await download_pending(daemon, retry="true", operation=id) == 2


async def test_an_import_waits_while_another_program_locks_the_records(daemon: DaemonProcess, origin: Origin) -> None:
    release = asyncio.Event()
    ids = [f"F{number}" for number in range(1, 9)]
    for id in ids:
        origin.script(f"/{id}", ScriptedResponse(size=size_of(id), content_type="image/gif", body_event=release))
    exported = packed(export(origin, ids))
    assert (await upload(daemon, "slack", exported))[0] == 200
    await file_data(daemon)
    selection = {"input": {"users": {"all": True}, "channels": {"all": True}}}
    with contextlib.closing(sqlite3.connect(daemon.state / DATABASE_FILE_NAME, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        for status, answer in (
            await daemon.request("POST", "/api/v1/startImport", json=selection),
            await upload(daemon, "slack", exported),
        ):
            assert (status, answer["error"]) == (503, "STORE_UNAVAILABLE")
        assert (await current(daemon))["status"] == "importer_user_selection"
        other.execute("ROLLBACK")
        await select_all(daemon)
        assert await download_pending(daemon) == len(ids)
        for id in ids:
            await origin.wait_requested(f"/{id}")
        operation = (await current(daemon))["_id"]
        other.execute("BEGIN IMMEDIATE")
        release.set()
        for method, path in (
            ("DELETE", f"/api/v1/imports/{operation}"),
            ("POST", "/api/v1/downloadPendingFiles"),
            ("POST", "/api/v1/downloadPendingAvatars"),
        ):
            status, answer = await daemon.request(method, path)
            assert (status, answer["error"]) == (503, "STORE_UNAVAILABLE"), path
        other.execute("ROLLBACK")
    assert (await done(daemon))["_id"] == operation
    assert {entry["status"] for entry in manifest(daemon)} == {"completed"}
    assert [len(origin.requests(f"/{id}")) for id in ids] == [1] * len(ids)


async def test_without_allow_download_nothing_is_fetched(tmp_path: Any, origin: Origin) -> None:
    async with DaemonProcess(tmp_path, config=DEFAULT_CONFIG, flags=()) as daemon:
        status, answer = await daemon.request("POST", "/api/v1/downloadPendingFiles")
        assert (status, answer["success"]) == (400, False)
        assert "--allow-download" in answer["error"]


async def test_an_import_needs_the_right_to_its_directory(tmp_path: Any) -> None:
    other = f'[[users]]\nid = "other"\ntoken_hash = "sha256:{"0" * 64}"\n'
    config = f'{DEFAULT_CONFIG}{other}[[directories]]\npath = "Imports"\nusers = ["other"]\n'
    async with DaemonProcess(tmp_path, config=config) as daemon:
        for path, body in (
            ("downloadPendingFiles", None),
            ("downloadPublicImportFile", {"fileUrl": "http://127.0.0.1:9000/x", "importerKey": "slack"}),
        ):
            status, answer = await daemon.request("POST", f"/api/v1/{path}", json=body)
            assert (status, answer["error"].endswith("[error-unauthorized]")) == (403, True)
