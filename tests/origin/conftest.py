"""An origin and a client, both of them real."""

from collections.abc import AsyncIterator

import pytest
from support.origin.origin import Origin
from support.recording_origin import RecordingOrigin, open_recording_origin

from downloadd.policy.addresses import AddressRules
from downloadd.policy.policy import Policy
from downloadd.transfer.session import Session


@pytest.fixture
async def origin() -> AsyncIterator[Origin]:
    async with Origin() as origin:
        yield origin


@pytest.fixture
async def recording_origin() -> AsyncIterator[RecordingOrigin]:
    async with open_recording_origin() as origin:
        yield origin


@pytest.fixture
async def session() -> AsyncIterator[Session]:
    policy = Policy(addresses=AddressRules(["127.0.0.0/8"]))
    async with Session(policy=policy, credentials=(), stall_timeout=3) as session:
        yield session
