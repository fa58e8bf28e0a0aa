"""An origin and a client, both of them real."""

from collections.abc import AsyncIterator

import pytest
from support.local_session import session as session
from support.recording_origin import RecordingOrigin, open_recording_origin


@pytest.fixture
async def recording_origin() -> AsyncIterator[RecordingOrigin]:
    async with open_recording_origin() as origin:
        yield origin
