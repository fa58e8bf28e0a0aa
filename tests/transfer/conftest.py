"""An origin, a client and a storage, all of them real."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from support.origin.origin import Origin

from downloadd.policy.addresses import AddressRules
from downloadd.policy.policy import Policy
from downloadd.storage.local import LocalDestination
from downloadd.transfer.session import Session


@pytest.fixture
async def origin() -> AsyncIterator[Origin]:
    async with Origin() as origin:
        yield origin


@pytest.fixture
async def session() -> AsyncIterator[Session]:
    policy = Policy(addresses=AddressRules(["127.0.0.0/8"]))
    async with Session(policy=policy, credentials=(), stall_timeout=3) as session:
        yield session


@pytest.fixture
async def destination(tmp_path: Path) -> AsyncIterator[LocalDestination]:
    async with LocalDestination(tmp_path, min_free=0, fsync=False) as destination:
        yield destination
