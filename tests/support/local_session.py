"""Fixture of a client that may connect to origins of this machine."""

from collections.abc import AsyncIterator

import pytest
from support.tls_contexts import system_tls

from downloadd.policy.addresses import AddressRules
from downloadd.policy.policy import Policy
from downloadd.transfer.session import Session


@pytest.fixture
async def session() -> AsyncIterator[Session]:
    """Open a client for origins on the loopback addresses."""
    policy = Policy(addresses=AddressRules(["127.0.0.0/8"]))
    async with Session(policy=policy, credentials=(), stall_timeout=3, tls=system_tls()) as session:
        yield session
