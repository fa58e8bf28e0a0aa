"""Quotas of users, kept by the daemon as a process."""

import asyncio
from pathlib import Path
from typing import Any

from support.daemon_process import DEFAULT_CONFIG, USER, DaemonProcess, running_daemon
from support.origin.origin import Origin
from support.origin.scripted_response import ScriptedResponse
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
