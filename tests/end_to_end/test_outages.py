"""Hosts that cannot be reached for a while, refuse further connections or ask to wait, with real sockets."""

from pathlib import Path
from typing import Any

from support.daemon_process import DaemonProcess, make_config
from support.origin.content import expected_bytes
from support.origin.origin import Origin, Request
from support.origin.scripted_response import ScriptedResponse, error_response
from support.ports import free_port
from support.waiting import wait_until

SIZE = 300_000


def answer(request: Request) -> ScriptedResponse:
    return ScriptedResponse(size=SIZE, etag='"v"')


async def hosts(daemon: DaemonProcess) -> list[dict[str, Any]]:
    status, listed = await daemon.request("GET", "/api/v1/hosts")
    assert status == 200
    entries: list[dict[str, Any]] = listed["hosts"]
    return entries


async def test_an_outage_fails_no_download_and_costs_no_retry(tmp_path: Path) -> None:
    async with DaemonProcess(tmp_path, config=make_config(max_retries=1, timeout=0)) as daemon:
        port = free_port()
        async with Origin(port=port, fallback=answer) as origin:
            started = await daemon.start_download("d", origin.url("/first"))
            await daemon.wait_until_finished(started["download_id"])
        ids = [(await daemon.start_download("d", origin.url(f"/{number}")))["download_id"] for number in range(20)]

        async def has_been_probed() -> bool:
            return any(one["failures"] >= 4 for one in await hosts(daemon))

        await wait_until(has_been_probed)
        [entry] = await hosts(daemon)
        assert (entry["origin"], entry["error"]) == (origin.url(""), "the connection failed: Connection refused")
        assert entry["state"] in {"open", "probing"}
        active = await daemon.active()
        assert {one["id"] for one in active} == set(ids)
        assert all(
            one["reason"].startswith(f"127.0.0.1:{port} could not be reached; ")
            for one in active
            if one["status"] in {"queued", "retrying"}
        )
        async with Origin(port=port, fallback=answer) as origin:
            for id in ids:
                assert (await daemon.wait_until_finished(id))["status"] == "completed"
        assert all(content == expected_bytes(0, 0, SIZE) for content in daemon.files().values())
        assert await hosts(daemon) == []


async def test_a_transfer_that_an_outage_cuts_goes_on_where_it_was(tmp_path: Path) -> None:
    async with DaemonProcess(tmp_path, config=make_config(max_retries=1, timeout=0)) as daemon:
        port = free_port()
        async with Origin(port=port) as origin:
            origin.script("/big", ScriptedResponse(size=SIZE, etag='"v"', stall_after=100_000))
            id = (await daemon.start_download("d", origin.url("/big")))["download_id"]

            async def has_received() -> bool:
                return bool((await daemon.get_download(id))["current_size"] == 100_000)

            await wait_until(has_received)

        async def is_away() -> bool:
            return any(one["failures"] >= 3 for one in await hosts(daemon))

        await wait_until(is_away)
        async with Origin(port=port, fallback=answer) as origin:
            assert (await daemon.wait_until_finished(id))["status"] == "completed"
            assert [request.field("Range") for request in origin.requests("/big")] == ["bytes=100000-"]


async def test_a_host_that_never_answers_ends_its_downloads_by_their_timeout(tmp_path: Path) -> None:
    async with Origin() as origin:
        url = origin.url("/f")
    async with DaemonProcess(tmp_path, config=make_config(max_retries=1000)) as daemon:
        ids = [(await daemon.start_download("d", url, timeout=1))["download_id"] for _ in range(3)]
        for id in ids:
            entry = await daemon.wait_until_finished(id)
            assert (entry["status"], entry["error"]) == ("failed", "NETWORK_ERROR")


async def test_a_host_that_accepts_two_connections_serves_all_downloads(tmp_path: Path) -> None:
    counts = {"refused": 0, "active": 0}

    def answer_two(request: Request) -> ScriptedResponse:
        if sum(origin.active(f"/{number}") for number in range(14)) > 2:
            counts["refused"] += 1
            return error_response(503)
        return ScriptedResponse(size=SIZE, etag='"v"', rate=SIZE)

    async with (
        Origin(fallback=answer_two) as origin,
        DaemonProcess(tmp_path, config=make_config(max_retries=1)) as daemon,
    ):
        ids = [(await daemon.start_download("d", origin.url(f"/{number}")))["download_id"] for number in range(14)]
        for id in ids:
            assert (await daemon.wait_until_finished(id))["status"] == "completed"
    assert counts["refused"] > 0


async def test_nothing_is_requested_before_the_time_that_an_origin_asked_for_also_after_a_kill(tmp_path: Path) -> None:
    async with Origin() as origin, Origin() as other, DaemonProcess(tmp_path, config=make_config(timeout=0)) as daemon:
        origin.script("/busy", error_response(429, retry_after="3600"))
        other.script("/f", ScriptedResponse(size=SIZE))
        busy = (await daemon.start_download("d", origin.url("/busy")))["download_id"]
        await daemon.wait_for_state(busy, "retrying")
        await daemon.kill()
        await daemon.start()
        waiting = (await daemon.start_download("d", origin.url("/f")))["download_id"]
        # Another port of the host is another origin.
        elsewhere = (await daemon.start_download("d", other.url("/f")))["download_id"]
        assert (await daemon.wait_until_finished(elsewhere))["status"] == "completed"
        entry = await daemon.get_download(waiting)
        assert entry["status"] == "queued"
        assert f"127.0.0.1:{origin.port} asked to wait" in entry["reason"]
        assert origin.requests("/f") == []
        assert [one["state"] for one in await hosts(daemon)] == ["backoff"]


async def test_an_open_circuit_survives_a_kill(tmp_path: Path) -> None:
    async with Origin() as origin:
        url = origin.url("/f")
    async with DaemonProcess(tmp_path) as daemon:
        await daemon.start_download("d", url)

        async def failures() -> int:
            return max((one["failures"] for one in await hosts(daemon)), default=0)

        async def has_failed_often() -> bool:
            return await failures() >= 3

        await wait_until(has_failed_often)
        await daemon.kill()
        await daemon.start()
        assert await failures() >= 3
