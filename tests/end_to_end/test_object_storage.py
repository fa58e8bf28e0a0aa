"""Files of the installed daemon in object storage: moto behind a object_proxy, with kills."""

import asyncio
import hashlib
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from support.daemon_process import DEFAULT_CONFIG, DaemonProcess
from support.exposition import read_series
from support.object_server import (
    CREDENTIALS,
    ObjectProxy,
    answer_error,
)
from support.origin.content import expected_bytes
from support.origin.origin import Origin
from support.origin.scripted_response import ScriptedResponse
from support.waiting import wait_until

from downloadd.storage.objects.client import ObjectClient

PART = 5 << 20
SIZE = 2 * PART + 1000
CONTENT = expected_bytes(0, 0, SIZE)


def storage_config(endpoint: str, bucket: str, rest: str = "", secret: str = CREDENTIALS.secret_access_key) -> str:
    """Return a configuration with an object storage for the directory `Archive`."""
    return f"""{DEFAULT_CONFIG}
[[storages]]
path = "Archive"
url = "s3://{bucket}/files"
endpoint = "{endpoint}"
access_key_id = "{CREDENTIALS.access_key_id}"
secret_access_key = "{secret}"
part_size = "5 MiB"
{rest}"""


@pytest.fixture
async def daemon(tmp_path: Path, object_proxy: ObjectProxy, bucket: str) -> AsyncIterator[DaemonProcess]:
    """Daemon with an object storage behind the object_proxy; assert that its log has no traceback."""
    async with DaemonProcess(tmp_path, config=storage_config(object_proxy.url, bucket)) as running:
        yield running
    assert "Traceback" not in running.log.read_text()


async def read(client: ObjectClient, key: str) -> bytes:
    async with client.get(key) as content:
        return await content.read()


async def wait_until_nothing_is_left(client: ObjectClient) -> None:
    """Return when the bucket has no unfinished upload."""

    async def is_nothing_left() -> bool:
        return await client.list_uploads("") == []

    await wait_until(is_nothing_left)


def hold_second_part(proxy: ObjectProxy) -> asyncio.Event:
    """Let requests for the second part of an upload wait until the event is set, which is returned."""
    release = asyncio.Event()

    async def hold(request: web.Request) -> web.StreamResponse | None:
        if request.query.get("partNumber") == "2":
            await release.wait()
        return None

    proxy.before = hold
    return release


async def read_file(daemon: DaemonProcess, id: str, **headers: str) -> tuple[int, bytes]:
    """Return status and content of the answer to a request for the file of a download."""
    assert daemon.client is not None
    async with daemon.client.get(f"{daemon.url}/api/v1/downloads/{id}/file", headers=headers) as response:
        return response.status, await response.read()


async def test_a_file_is_uploaded_read_and_removed(
    daemon: DaemonProcess, origin: Origin, object_client: ObjectClient
) -> None:
    origin.script("/f.bin", ScriptedResponse(size=SIZE))
    origin.script("/small.txt", ScriptedResponse(size=1000))
    status, large = await daemon.fetch("Archive/2026", origin.url("/f.bin"))
    assert (status, large["path"]) == (201, "Archive/2026/f.bin")
    status, small = await daemon.fetch("Archive", origin.url("/small.txt"))
    assert status == 201
    head = await object_client.head("files/2026/f.bin")
    assert head is not None
    assert head.metadata["sha256"] == hashlib.sha256(CONTENT).hexdigest()
    assert head.metadata["download-id"] == large["download_id"]
    assert head.metadata["source-url"] == origin.url("/f.bin")
    assert await read(object_client, "files/2026/f.bin") == CONTENT
    assert await object_client.list_uploads("") == []
    assert daemon.files() == {}
    assert await read_file(daemon, large["download_id"]) == (200, CONTENT)
    assert await read_file(daemon, small["download_id"], Range="bytes=10-19") == (206, expected_bytes(0, 10, 20))
    status, _ = await daemon.request("DELETE", f"/api/v1/downloads/{large['download_id']}?file=true")
    assert status in {200, 204}
    assert (await object_client.list_objects("")).keys == ["files/small.txt"]


async def test_a_taken_name_is_handled_as_requested(
    daemon: DaemonProcess, origin: Origin, object_client: ObjectClient
) -> None:
    origin.script("/f.txt", ScriptedResponse(size=1000))
    url, whole = origin.url("/f.txt"), expected_bytes(0, 0, 1000)
    await object_client.put("files/f.txt", b"old", content_type="text/plain", metadata={}, replace=False)
    _, answer = await daemon.fetch("Archive", url)
    assert answer["path"] == "Archive/f (1).txt"
    _, answer = await daemon.fetch("Archive", url, conflict="skip")
    assert answer["message"] == "Download skipped"
    status, answer = await daemon.fetch("Archive", url, conflict="error", filename="f.txt")
    assert (status, answer["error"]) == (409, "FILE_EXISTS")
    assert await read(object_client, "files/f.txt") == b"old"
    _, answer = await daemon.fetch("Archive", url, conflict="overwrite")
    assert answer["path"] == "Archive/f.txt"
    assert await read(object_client, "files/f.txt") == await read(object_client, "files/f (1).txt") == whole


@pytest.mark.parametrize(
    ("moment", "wanted"),
    [
        ("before", "POST uploads"),
        pytest.param("after", "POST uploads", marks=pytest.mark.exhaustive),
        ("after", "PUT partNumber uploadId"),
        pytest.param("before", "POST uploadId", marks=pytest.mark.exhaustive),
        ("after", "POST uploadId"),
    ],
)
async def test_a_kill_between_two_requests_of_an_upload_loses_nothing(
    daemon: DaemonProcess,
    origin: Origin,
    object_client: ObjectClient,
    object_proxy: ObjectProxy,
    moment: str,
    wanted: str,
) -> None:
    origin.script("/f.bin", ScriptedResponse(size=SIZE))
    killed = asyncio.Event()

    async def kill(request: web.Request) -> web.StreamResponse | None:
        if object_proxy.requests[-1] == wanted and not killed.is_set():
            await daemon.kill()
            killed.set()
        return None

    setattr(object_proxy, moment, kill)
    started = await daemon.start_download("Archive", origin.url("/f.bin"))
    await asyncio.wait_for(killed.wait(), 60)
    head = await object_client.head("files/f.bin")
    assert head is None or head.size == SIZE
    await daemon.start()
    await daemon.wait_for_state(started["download_id"], "completed")
    assert await read(object_client, "files/f.bin") == CONTENT
    assert (await object_client.list_objects("")).keys == ["files/f.bin"]
    assert daemon.part_files() == []
    await wait_until_nothing_is_left(object_client)
    assert len(origin.requests("/f.bin")) == 1


async def test_the_upload_of_a_cancelled_download_is_aborted(
    daemon: DaemonProcess, origin: Origin, object_client: ObjectClient, object_proxy: ObjectProxy
) -> None:
    origin.script("/f.bin", ScriptedResponse(size=SIZE))
    release = hold_second_part(object_proxy)
    started = await daemon.start_download("Archive", origin.url("/f.bin"))
    await wait_until(lambda: object_proxy.requests.count("PUT partNumber uploadId") >= 3)
    assert (await daemon.control(started["download_id"], "cancel"))[0] == 200
    await daemon.wait_for_state(started["download_id"], "cancelled")
    release.set()
    await daemon.kill()
    # The search at the start finds it.
    await daemon.start()
    await wait_until_nothing_is_left(object_client)
    assert (await object_client.list_objects("")).keys == []
    assert daemon.part_files() == []


async def test_an_upload_is_shown_and_goes_on_after_a_pause(
    daemon: DaemonProcess, origin: Origin, object_client: ObjectClient, object_proxy: ObjectProxy
) -> None:
    origin.script("/f.bin", ScriptedResponse(size=SIZE))
    release = hold_second_part(object_proxy)
    started = await daemon.start_download("Archive", origin.url("/f.bin"))

    async def is_shown() -> bool:
        return (await daemon.get_download(started["download_id"])).get("uploaded") == PART + 1000

    await wait_until(is_shown)
    assert (await daemon.control(started["download_id"], "pause"))[0] == 200
    await daemon.wait_for_state(started["download_id"], "paused")
    assert "uploaded" not in await daemon.get_download(started["download_id"])
    release.set()
    object_proxy.before = None
    assert await object_client.head("files/f.bin") is None
    object_proxy.requests.clear()
    assert (await daemon.control(started["download_id"], "resume"))[0] == 200
    await daemon.wait_for_state(started["download_id"], "completed")
    assert object_proxy.requests.count("PUT partNumber uploadId") == 1
    assert await read(object_client, "files/f.bin") == CONTENT
    assert len(origin.requests("/f.bin")) == 1
    assert daemon.client is not None
    async with daemon.client.get(f"{daemon.url}/api/v1/metrics") as response:
        exposition = await response.read()
    assert read_series(exposition, "downloadd_uploads_total", outcome="published") == 1
    assert read_series(exposition, "downloadd_uploaded_bytes_total") == SIZE


async def test_a_download_that_is_renamed_while_it_is_uploaded_gets_the_new_name(
    daemon: DaemonProcess, origin: Origin, object_client: ObjectClient, object_proxy: ObjectProxy
) -> None:
    origin.script("/f.bin", ScriptedResponse(size=SIZE))
    release = hold_second_part(object_proxy)
    started = await daemon.start_download("Archive", origin.url("/f.bin"))
    await wait_until(lambda: object_proxy.requests.count("PUT partNumber uploadId") >= 3)
    status, answer = await daemon.amend(started["download_id"], filename="g.bin")
    assert status == 200, answer
    release.set()
    await daemon.wait_for_state(started["download_id"], "completed")
    assert (await object_client.list_objects("")).keys == ["files/g.bin"]
    assert await object_client.list_uploads("") == []
    assert await read(object_client, "files/g.bin") == CONTENT


async def test_a_bucket_that_refuses_holds_its_downloads_and_no_others(
    daemon: DaemonProcess, origin: Origin, object_client: ObjectClient, object_proxy: ObjectProxy
) -> None:
    origin.script("/f.bin", ScriptedResponse(size=1000))

    async def refuse(request: web.Request) -> web.Response:
        return answer_error(403, "SignatureDoesNotMatch")

    object_proxy.before = refuse
    started = await daemon.start_download("Archive", origin.url("/f.bin"))

    async def held() -> dict[str, Any] | None:
        entry = await daemon.get_download(started["download_id"])
        return entry if entry["status"] == "retrying" else None

    entry = await wait_until(held)
    assert "check its credentials and their rights" in entry["detail"]
    status, _ = await daemon.fetch("elsewhere", origin.url("/f.bin"))
    assert status == 201
    object_proxy.before = None
    await daemon.wait_for_state(started["download_id"], "completed")
    assert len(origin.requests("/f.bin")) == 2


async def test_a_download_waits_while_files_that_are_not_uploaded_fill_their_space(
    tmp_path: Path, origin: Origin, object_client: ObjectClient, object_proxy: ObjectProxy, bucket: str
) -> None:
    origin.script("/a.bin", ScriptedResponse(size=SIZE))
    origin.script("/b.bin", ScriptedResponse(size=SIZE))
    origin.script("/c.bin", ScriptedResponse(size=2 * SIZE))
    release = hold_second_part(object_proxy)
    config = storage_config(object_proxy.url, bucket, f"staging_size = {SIZE + PART}\n")
    async with DaemonProcess(tmp_path, config=config) as daemon:
        first = await daemon.start_download("Archive", origin.url("/a.bin"))
        await wait_until(lambda: "PUT partNumber uploadId" in object_proxy.requests)
        second = await daemon.start_download("Archive", origin.url("/b.bin"))
        entry = await daemon.wait_for_state(second["download_id"], "retrying")
        assert "waits for uploads" in entry["detail"]
        status, answer = await daemon.fetch("Archive", origin.url("/c.bin"))
        assert (status, answer["error"]) == (507, "INSUFFICIENT_STORAGE")
        assert "staging_size" in answer["detail"]
        release.set()
        for each in (first, second):
            await daemon.wait_for_state(each["download_id"], "completed")
    assert sorted((await object_client.list_objects("")).keys) == ["files/a.bin", "files/b.bin"]


async def test_a_daemon_without_credentials_says_so(tmp_path: Path) -> None:
    config = DEFAULT_CONFIG + '[[storages]]\npath = "Archive"\nurl = "s3://bucket"\n'
    command = DaemonProcess(tmp_path, config=config).command()
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "the object storage of Archive (s3://bucket) has no credentials" in done.stderr + done.stdout
    assert "AWS_ACCESS_KEY_ID" in done.stderr + done.stdout
    assert "Traceback" not in done.stderr
