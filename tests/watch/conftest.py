"""Import components on real records and storage, for the watchers."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from support.import_stack import ImportStack, open_import_stack


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[ImportStack]:
    async with open_import_stack(tmp_path) as opened:
        opened.downloads.auto_complete = True
        yield opened


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "incoming"
    path.mkdir()
    return path
