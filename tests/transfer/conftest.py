"""A client and a storage, both of them real."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from support.local_session import session as session

from downloadd.storage.local import LocalDestination


@pytest.fixture
async def destination(tmp_path: Path) -> AsyncIterator[LocalDestination]:
    async with LocalDestination(tmp_path, min_free=0, fsync=False) as destination:
        yield destination
