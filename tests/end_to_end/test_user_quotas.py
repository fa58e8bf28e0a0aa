"""Quotas of users, kept by the daemon as a process."""

import asyncio
from pathlib import Path
from typing import Any

from msgspec.structs import replace
from support.daemon_process import DEFAULT_CONFIG, USER, DaemonProcess, running_daemon
from support.origin.content import expected_bytes
from support.origin.origin import Origin
from support.origin.scripted_response import Framing, ScriptedResponse
from support.waiting import wait_until


def with_quota(**quotas: Any) -> str:
    """Return the configuration of the tests with these keys of its user."""
    return DEFAULT_CONFIG + "".join(f"{key} = {value}\n" for key, value in quotas.items())


async def reasons(daemon: DaemonProcess) -> list[str]:
    return [entry["reason"] for entry in await daemon.active() if entry["status"] == "queued"]


async def test_downloads_of_a_user_beyond_the_limit_wait_and_say_so(tmp_path: Path, origin: Origin) -> None:
    event = asyncio.Event()
    origin.script("/f", ScriptedResponse(size=10, body_event=event))
    async with running_daemon(tmp_path, config=with_quota(max_concurrent=2)) as daemon:
        for _ in range(4):
            await daemon.start_download("d", origin.url("/f"))
        await wait_until(lambda: origin.active("/f") == 2)
        expected = f"2 downloads of {USER} are running (max_concurrent in [[users]])"
        assert await reasons(daemon) == [expected] * 2
        wait = (await daemon.active())[-1]["wait"]
        assert (wait["code"], wait["user"], wait["running"]) == ("user_max_concurrent", USER, 2)
        _, use = await daemon.request("GET", "/api/v1/quota")
        assert use == {
            "user": USER,
            "max_concurrent": {"used": 2, "limit": 2},
            "bytes_per_day": None,
            "stored_bytes": None,
        }
        event.set()
        await wait_until(lambda: len(daemon.files()) == 4)
        assert origin.max_active("/f") == 2
        event.clear()
        # A reload changes the limit at once.
        await daemon.reload(with_quota(max_concurrent=3))
        for _ in range(4):
            await daemon.start_download("d", origin.url("/f"))
        await wait_until(lambda: origin.active("/f") == 3)
        assert await reasons(daemon) == [expected.replace("2", "3", 1)]
        event.set()


MIB = 1 << 20


async def test_bytes_of_a_day_survive_kills_and_a_download_beyond_them_waits_and_goes_on(
    tmp_path: Path, origin: Origin
) -> None:
    whole = ScriptedResponse(size=3 * MIB, etag='"v1"')
    origin.script("/f", replace(whole, stall_after=MIB))
    daemon = DaemonProcess(tmp_path, config=with_quota(bytes_per_day='"2 MiB"', time_zone='"Asia/Tokyo"'))
    async with daemon:
        id = (await daemon.start_download("d", origin.url("/f")))["download_id"]
        await wait_until(lambda: daemon.has_received(id, MIB))
        await daemon.kill()
        origin.script("/f", whole)
        # What was written after the last checkpoint counts when it is continued.
        await daemon.start()

        async def is_held() -> bool:
            [entry] = await daemon.active()
            return entry["status"] == "queued" and "it goes on at" in entry["reason"]

        await wait_until(is_held)
        [entry] = await daemon.active()
        # Bytes that were received and not written when it was killed count too.
        assert 1.5 * MIB < entry["current_size"] <= 2 * MIB
        assert entry["wait"]["code"] == "bytes_per_day"
        assert "has received 2.1 MB of the 2.1 MB of today (bytes_per_day in [[users]])" in entry["reason"]
        assert 0 < entry["wait"]["seconds"] <= 86_400
        day = (await daemon.request("GET", "/api/v1/quota"))[1]["bytes_per_day"]
        assert (day["used"] >= day["limit"] == 2 * MIB, day["ends"] % 86_400) == (True, 15 * 3600)
        await daemon.kill()
        await daemon.start()
        await wait_until(is_held)
        small = (await daemon.start_download("d", origin.url("/f"), filename="other"))["download_id"]
        assert (await daemon.get_download(small))["status"] == "queued"
        ranges = [request.field("Range") for request in origin.requests("/f")]
        assert len(ranges) == 2
        await daemon.control(small, "cancel")
        # More is allowed: it continues where it stopped.
        await daemon.reload(with_quota(bytes_per_day='"4 MiB"', time_zone='"Asia/Tokyo"'))
        assert (await daemon.wait_until_finished(id))["status"] == "completed"
        assert daemon.files() == {"d/f": expected_bytes(0, 0, 3 * MIB)}
        assert f"bytes={entry['current_size']}-" in [request.field("Range") for request in origin.requests("/f")]


async def test_files_of_a_user_beyond_the_limit_are_refused_until_others_are_removed(
    tmp_path: Path, origin: Origin
) -> None:
    origin.script("/f", ScriptedResponse(size=600_000))
    origin.script("/chunked", ScriptedResponse(size=600_000, framing=Framing.CHUNKED))
    async with running_daemon(tmp_path, config=with_quota(stored_bytes='"1 MB"')) as daemon:
        status, first = await daemon.fetch("d", origin.url("/f"))
        assert status == 201
        # The size is known from the head of the response, or only when the bytes arrive.
        status, announced = await daemon.fetch("d", origin.url("/f"))
        assert (status, announced["error"]) == (507, "QUOTA_EXCEEDED")
        assert announced["detail"] == (
            f"the files of {USER} hold 600 kB of 1 MB (stored_bytes in [[users]]), and 600 kB more do not fit; "
            "remove files of earlier downloads first"
        )
        assert len(daemon.part_files()) == 0
        status, unknown = await daemon.fetch("d", origin.url("/chunked"))
        assert (status, unknown["error"]) == (507, "QUOTA_EXCEEDED")
        assert (await daemon.request("GET", "/api/v1/quota"))[1]["stored_bytes"]["used"] >= 600_000
        # The entry of the history is removed and its file stays; then the file is removed by hand.
        await daemon.request("DELETE", f"/api/v1/downloads/{first['download_id']}")
        for entry in await daemon.history():
            await daemon.request("DELETE", f"/api/v1/downloads/{entry['id']}")
        status, _ = await daemon.fetch("d", origin.url("/f"))
        assert status == 507
        (daemon.root / "d" / "f").unlink()

        async def fits() -> bool:
            status, _ = await daemon.fetch("d", origin.url("/f"))
            return status == 201

        await wait_until(fits)
        # A file that the daemon removes makes room at once.
        [completed] = [entry for entry in await daemon.history() if entry["status"] == "completed"]
        await daemon.request("DELETE", f"/api/v1/downloads/{completed['id']}?file=true")
        assert await fits()
