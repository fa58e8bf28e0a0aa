import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from blockbuster import blockbuster_ctx
from support.machine import not_allowed

from downloadd.storage.local import LocalDestination


@pytest.fixture(autouse=True)
def no_blocking_calls_on_the_loop() -> Iterator[None]:
    """Fail the test at a blocking call of the package on the event loop."""
    with blockbuster_ctx("downloadd"):
        yield


@pytest.fixture(autouse=True)
def no_leaked_descriptors() -> Iterator[None]:
    """Fail the test if it leaves a descriptor open."""
    before = _open_below_tmp()
    yield
    assert _open_below_tmp() == before


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "root"


@pytest.fixture
def mounted(root: Path) -> Iterator[str]:
    """Mount another file system below the root, and return its directory; see `not_allowed`."""
    place = root / "mounted"
    place.mkdir(parents=True)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", place], capture_output=True).returncode:
        not_allowed("mount a tmpfs")
    yield place.name
    subprocess.run(["umount", "--lazy", place], check=True)


@pytest.fixture
async def destination(root: Path) -> AsyncIterator[LocalDestination]:
    async with LocalDestination(root, min_free=0, fsync=True) as opened:
        yield opened


def _open_below_tmp() -> set[str]:
    targets = set()
    for fd in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{fd}")
        except FileNotFoundError:
            continue
        if "/root" in target:
            targets.add(target)
    return targets
