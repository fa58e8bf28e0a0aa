"""Probes through the daemon: the same answers as those of a download, and no trace of it."""

import asyncio
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from support.daemon_process import DaemonProcess, make_config
from support.event_reader import open_event_stream
from support.fake_resolver import daemon_with_hosts
from support.file_tree import contents_below
from support.nginx_origin import NginxOrigin
from support.origin.origin import Origin
from support.origin.scripted_response import ScriptedResponse, error_response, redirect
from support.waiting import wait_until

SECRET = "hush4711"
GIB = 1 << 30


async def probe(daemon: DaemonProcess, url: str, **parameters: Any) -> tuple[int, dict[str, Any]]:
    status, body = await daemon.request("POST", "/api/v1/probe", json={"url": url, **parameters})
    return status, dict(body)


async def test_a_probe_says_what_the_download_then_finds(daemon: DaemonProcess, nginx: NginxOrigin) -> None:
    (nginx.www / "release.tar.gz").write_bytes(bytes(300_000))
    (nginx.www / "empty.bin").write_bytes(b"")
    for name in ("release.tar.gz", "empty.bin"):
        status, found = await probe(daemon, f"{nginx.http}/{name}")
        assert status == 200, found
        _, answer = await daemon.fetch("d", f"{nginx.http}/{name}")
        entry = await daemon.get_download(answer["download_id"])
        assert (found["filename"], found["size"], found["content_type"]) == (
            entry["filename"],
            entry["total_bytes"],
            entry["content_type"],
        )
        assert (found["url"], found["redirects"], found["warning"]) == (entry["url"], 0, None)
        # nginx ignores the range of an empty file.
        assert found["ranges"] == found["resumable"] == (found["size"] > 0)
        assert found["etag"].startswith('"')
        assert found["last_modified"] == int((nginx.www / name).stat().st_mtime)


async def test_a_probe_leaves_no_trace_but_a_log_line(daemon: DaemonProcess, origin: Origin) -> None:
    origin.script("/big", ScriptedResponse(size=7 * GIB, etag='"v"'))
    async with open_event_stream(daemon) as events:
        status, found = await probe(daemon, origin.url("/big"))
        assert (status, found["size"], found["resumable"]) == (200, 7 * GIB, True)
        # All events are those of the download after it.
        origin.script("/f", ScriptedResponse(size=3))
        started = await daemon.start_download("d", origin.url("/f"))
        await events.wait_until(lambda: events.finished_ids() == [started["download_id"]])
        assert {event.entry["id"] for event in events.events} == {started["download_id"]}
    assert [entry["id"] for entry in await daemon.history()] == [started["download_id"]]
    assert (list(daemon.files()), daemon.part_files()) == (["d/f"], [])
    assert origin.bytes_sent("/big") <= 1
    [line] = await wait_until(lambda: [line for line in daemon.log_lines() if line.get("path") == "/api/v1/probe"])
    assert (line["event"], line["url"], line["status"]) == ("request", origin.url("/big"), 200)


@pytest.mark.parametrize("honour_ranges", [True, False])
async def test_a_file_over_the_limit_is_refused_before_the_start(
    tmp_path: Path, origin: Origin, honour_ranges: bool
) -> None:
    origin.script("/f", ScriptedResponse(size=1001, honour_ranges=honour_ranges))
    async with DaemonProcess(tmp_path, config=make_config(max_size=1000)) as daemon:
        status, found = await probe(daemon, origin.url("/f"))
        assert (status, found["error"]) == (413, "FILE_TOO_LARGE")
        _, answer = await daemon.fetch("d", origin.url("/f"))
        assert (answer["error"], answer["detail"]) == (found["error"], found["detail"])


@pytest.mark.parametrize(
    ("answer", "status", "code"),
    [
        (error_response(404), 404, "REMOTE_FILE_NOT_FOUND"),
        (error_response(403), 502, "REMOTE_ERROR"),
        (ScriptedResponse(status=401, headers=[("WWW-Authenticate", "Basic")]), 502, "REMOTE_ERROR"),
        (ScriptedResponse(raw=b"nonsense\r\n\r\n"), 502, "NETWORK_ERROR"),
        (redirect("/f"), 502, "TOO_MANY_REDIRECTS"),
        (redirect("http://10.0.0.1/f"), 403, "DOMAIN_BLOCKED"),
        (ScriptedResponse(body=b"<html>", content_type="text/html"), 502, "UNEXPECTED_CONTENT"),
    ],
)
async def test_an_error_has_code_and_detail_of_the_download(
    tmp_path: Path, origin: Origin, answer: ScriptedResponse, status: int, code: str
) -> None:
    origin.script("/f", answer)
    async with DaemonProcess(tmp_path, config=make_config(max_retries=0, retry_for=1)) as daemon:
        found, body = await probe(daemon, origin.url("/f"), type="file")
        assert (found, body["error"], body["success"]) == (status, code, False)
        _, failed = await daemon.fetch("d", origin.url("/f"), type="file")
        assert (failed["error"], failed["detail"]) == (code, body["detail"])


async def test_the_policy_holds_for_a_probe(tmp_path: Path) -> None:
    config = make_config(allowed_domains=["origin.test"])
    async with daemon_with_hosts(tmp_path, config, origin_test="10.1.2.3") as daemon:
        for url in ("http://other.test/f", "http://origin.test/f", "http://origin.test:25/f"):
            status, body = await probe(daemon, url)
            assert (status, body["error"]) == (403, "DOMAIN_BLOCKED"), url
            assert body["detail"]


async def test_a_reload_changes_the_limits_of_probes(tmp_path: Path, origin: Origin) -> None:
    origin.script("/f", ScriptedResponse(size=1001))
    async with DaemonProcess(tmp_path) as daemon:
        assert (await probe(daemon, origin.url("/f")))[1]["resumable"]
        await daemon.reload(make_config(max_size=1000))
        assert (await probe(daemon, origin.url("/f")))[1]["error"] == "FILE_TOO_LARGE"


async def test_secrets_are_sent_to_the_origin_and_shown_nowhere(daemon: DaemonProcess, origin: Origin) -> None:
    async with Origin(host="127.0.0.2") as other:
        origin.script("/get", redirect(other.url(f"/f?token={SECRET}")))
        other.script("/f", ScriptedResponse(size=3))
        status, body = await probe(
            daemon,
            origin.url(f"/get?sig={SECRET}").replace("://", f"://ann:{SECRET}@"),
            headers={"X-Key": SECRET},
            cookies={"sid": SECRET},
        )
        assert (status, body["url"], body["redirects"]) == (200, other.url("/f?token=***"), 1)
        [first], [second] = origin.requests("/get"), other.requests("/f")
        assert first.target == f"/get?sig={SECRET}".encode()
        assert (first.field("X-Key"), first.field("Cookie")) == (SECRET, f"sid={SECRET}")
        assert first.field("Authorization") == aiohttp.encode_basic_auth("ann", SECRET)
        assert SECRET not in repr(second.fields)
    refused = [
        await probe(daemon, f"http://ann:{SECRET}@10.0.0.1/?token={SECRET}"),
        await probe(daemon, origin.url("/get"), headers={"Host": SECRET}),
        await probe(daemon, origin.url("/get"), method="POST", body=SECRET),
        await probe(daemon, f"ftp://ann:{SECRET}@h/"),
    ]
    assert {status for status, _ in refused} == {400, 403}
    assert len(origin.requests("/get")) == 1
    assert SECRET not in f"{body} {refused} {daemon.log.read_text()}"
    assert all(SECRET.encode() not in content for content in contents_below(daemon.state).values())


async def test_a_client_that_leaves_frees_the_slot_of_its_probe(daemon: DaemonProcess, origin: Origin) -> None:
    origin.script("/silent", ScriptedResponse(size=3, head_event=asyncio.Event()))
    origin.script("/f", ScriptedResponse(size=3))
    probes = [asyncio.create_task(probe(daemon, origin.url("/silent"))) for _ in range(16)]
    await origin.wait_requested("/silent", times=16)
    another = asyncio.create_task(probe(daemon, origin.url("/f")))
    probes[0].cancel()
    assert (await another)[0] == 200
    for task in probes:
        task.cancel()
    await asyncio.gather(*probes, return_exceptions=True)
    await wait_until(lambda: sum(line.get("status") == 499 for line in daemon.log_lines()) == 16)
    assert "Traceback" not in daemon.log.read_text()
