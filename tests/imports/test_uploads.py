"""The contract of uploads, kept by those in a directory of this machine."""

from pathlib import Path

import pytest
from imports.uploads_contract import UploadsContract
from support.clocks import ManualClock

from downloadd.imports.local_uploads import LocalUploads
from downloadd.imports.uploads import Uploads


@pytest.fixture
async def uploads(tmp_path: Path) -> Uploads:
    opened = LocalUploads(tmp_path / "uploads", max_upload=10, min_free=0, clock=ManualClock())
    await opened.open()
    return opened


class TestLocalUploads(UploadsContract):
    """The contract, kept by a directory."""
