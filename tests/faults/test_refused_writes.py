"""A disk that is full, broken or read-only at any write of a download, and works again later."""

import asyncio
import os
import sys
from itertools import count, cycle
from pathlib import Path

import pytest
from support.crash_runner import DOWNLOAD_SCENARIOS, ForkServer
from support.crash_scenarios import SCENARIOS
from support.crash_trial import CrashTrial
from support.daemon_process import make_config
from support.origin.content import expected_bytes
from support.origin.origin import Origin
from support.origin.scripted_response import ScriptedResponse
from support.small_disk import daemon_on_disk, path_seen_by
from support.waiting import wait_until

pytestmark = pytest.mark.timeout(300)

FAULTS = [("ENOSPC", 1), ("EIO", 1), ("EROFS", 3), ("ENOSPC", 3), ("EIO", 3)]
"""Errors, with the number of consecutive calls that fail."""

DAEMON_WITH_SHORT_DELAYS = (
    sys.executable,
    "-Ic",
    """
import sys
from unittest.mock import patch
from downloadd.daemon.main import main
patch("downloadd.manager.retry.INITIAL_STORAGE_DELAY_SECONDS", 1.0).start()
del sys.argv[1:4]
main()
""",
)
"""Launcher of the daemon that waits at most a second for free space."""


@pytest.mark.parametrize(
    "one_of", [pytest.param(3, id="one of three writes"), pytest.param(1, id="all", marks=pytest.mark.exhaustive)]
)
@pytest.mark.parametrize("scenario", SCENARIOS)
async def test_a_refused_write_is_reported_and_other_downloads_continue(
    scenario: str, one_of: int, tmp_path: Path, origin: Origin, fork_servers: list[ForkServer]
) -> None:
    refused: list[str] = []
    # Scenarios have most writes in common, and each begins with another one of them.
    skipped = list(DOWNLOAD_SCENARIOS).index(scenario) % one_of * len(fork_servers)

    async def run_trials(fork_server: ForkServer, first: int) -> None:
        faults = cycle(FAULTS)
        for fault_at in count(first + skipped, one_of * len(fork_servers)):
            trial = CrashTrial(tmp_path / str(fault_at), origin, fork_server, scenario)
            fault, fault_count = next(faults)
            ended = await trial.run(fault_at, fault=fault, fault_count=fault_count)
            await trial.recover()
            trial.assert_consistent()
            refused.extend(ended.values("refuse"))
            if not ended.values("refuse"):
                break

    await asyncio.gather(*(run_trials(fork_server, first) for first, fork_server in enumerate(fork_servers, 1)))
    assert len(refused) > 10 // one_of


async def test_downloads_continue_when_a_full_disk_has_space_again(tmp_path: Path, disk: Path, origin: Origin) -> None:
    size = 6 << 20
    release = asyncio.Event()
    origin.script(
        "/resumed",
        [ScriptedResponse(size=size, etag='"v"', body_event=release), ScriptedResponse(size=size, etag='"v"')],
    )
    origin.script("/fresh", ScriptedResponse(size=size))
    config = make_config(max_retries=3, timeout=60)
    async with daemon_on_disk(tmp_path, disk, "size=40m", config=config, launcher=DAEMON_WITH_SHORT_DELAYS) as daemon:
        resumed = (await daemon.start_download("d", origin.url("/resumed")))["download_id"]
        await origin.wait_requested("/resumed")
        ballast = path_seen_by(daemon, disk) / "ballast"
        with ballast.open("wb") as file:
            # Leave enough space for the records and half of the file.
            space = os.statvfs(ballast)
            file.write(bytes(space.f_bavail * space.f_frsize - (4 << 20)))
        # There is still space to record that it is accepted.
        fresh = (await daemon.start_download("d", origin.url("/fresh")))["download_id"]
        release.set()
        for id in (resumed, fresh):

            async def waits_for_space(id: str = id) -> bool:
                return "waits for space" in str((await daemon.get_download(id))["reason"])

            await wait_until(waits_for_space)
        ballast.unlink()
        for id in (resumed, fresh):
            assert (await daemon.wait_until_finished(id))["status"] == "completed"
        content = expected_bytes(0, 0, size)
        assert daemon.files() == {"d/resumed": content, "d/fresh": content}
