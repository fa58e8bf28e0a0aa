"""The contract of a destination, kept by a directory of this machine."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from storage.contract import DestinationContract, SmallFileContract

from downloadd.storage.local import LocalDestination


class TestLocalDestination(DestinationContract, SmallFileContract):
    """The contract."""


class TestCommitProcess(SmallFileContract):
    """The contract of small files, which a process of their own writes."""

    @pytest.fixture
    async def destination(self, root: Path) -> AsyncIterator[LocalDestination]:
        async with LocalDestination(root, min_free=0, fsync=True, has_commit_process=True) as opened:
            yield opened
