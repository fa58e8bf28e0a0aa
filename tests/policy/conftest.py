"""Fixtures of the policy room's tests."""

from collections.abc import AsyncIterator

import pytest
from support.recording_origin import RecordingOrigin, open_recording_origin


@pytest.fixture
async def origin() -> AsyncIterator[RecordingOrigin]:
    async with open_recording_origin() as opened:
        yield opened
