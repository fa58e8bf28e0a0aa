"""A disk that is full, broken or read-only at any one write of a download's life, and in order again a moment later."""

import asyncio
import os
import sys
from itertools import count, cycle
from pathlib import Path

import pytest
from daemon_process import configured
from faults.lives import PLOTS, Nursery, recovery
from faults.trials import Trial
from origin.answer import Answer
from origin.content import expected_bytes
from origin.origin import Origin
from small_disk import on_disk, seen_by

FAULTS = [("ENOSPC", 1), ("EIO", 1), ("EROFS", 3), ("ENOSPC", 3), ("EIO", 3)]
"""What is said, and to how many calls in a row."""

IMPATIENT = (
    sys.executable,
    "-Ic",
    """
import sys
from unittest.mock import patch
from downloadd.daemon.main import main
patch("downloadd.manager.retry.FIRST_DELAY_FOR_ROOM", 1.0).start()
del sys.argv[1:4]
main()
""",
)
"""The daemon, which gives whoever makes room no more than a second."""


@pytest.mark.parametrize("plot", [name for name in PLOTS if name != recovery.__name__])
async def test_whatever_write_is_refused_users_are_told_and_everything_else_goes_on(
    plot: str, tmp_path: Path, origin: Origin, nurseries: list[Nursery]
) -> None:
    refused: list[str] = []

    async def lane(nursery: Nursery, first: int) -> None:
        faults = cycle(FAULTS)
        for strike_at in count(first, len(nurseries)):
            trial = Trial(tmp_path / str(strike_at), origin, nursery, plot)
            fault, lifted_after = next(faults)
            ended = await trial.live(strike_at, fault=fault, lifted_after=lifted_after)
            await trial.recover()
            trial.judge()
            refused.extend(ended.told("refuse"))
            if not ended.told("refuse"):
                break

    await asyncio.gather(*(lane(nursery, first) for first, nursery in enumerate(nurseries, 1)))
    assert len(refused) > 10


async def test_downloads_that_found_the_disk_full_go_on_by_themselves_when_it_is_free_again(
    tmp_path: Path, disk: Path, origin: Origin
) -> None:
    size = 6 << 20
    gate = asyncio.Event()
    origin.script("/resumed", [Answer(size=size, etag='"v"', gate=gate), Answer(size=size, etag='"v"')])
    origin.script("/fresh", Answer(size=size))
    config = configured(retries=3, timeout=60)
    async with on_disk(tmp_path, disk, "size=40m", config=config, launcher=IMPATIENT) as daemon:
        resumed = (await daemon.start_download("d", origin.url("/resumed")))["download_id"]
        await origin.requested("/resumed")
        ballast = seen_by(daemon, disk) / "ballast"
        with ballast.open("wb") as file:
            # As many bytes as leave room for the records, and for half of the file.
            space = os.statvfs(ballast)
            file.write(bytes(space.f_bavail * space.f_frsize - (4 << 20)))
        # While there is still room to write down that it is accepted.
        fresh = (await daemon.start_download("d", origin.url("/fresh")))["download_id"]
        gate.set()
        for id in (resumed, fresh):
            entry = await daemon.reaches(id, "retrying")
            assert entry["error"] == "INSUFFICIENT_STORAGE"
        ballast.unlink()
        for id in (resumed, fresh):
            assert (await daemon.ended(id))["status"] == "completed"
        content = expected_bytes(0, 0, size)
        assert daemon.files() == {"d/resumed": content, "d/fresh": content}
