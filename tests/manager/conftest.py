"""Fixtures of the tests of the manager."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from support.run_parts import RunParts, open_run_parts


@pytest.fixture
async def parts(tmp_path: Path) -> AsyncIterator[RunParts]:
    async with open_run_parts(tmp_path) as parts:
        yield parts
