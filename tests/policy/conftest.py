"""Fixtures of the policy room's tests."""

from collections.abc import AsyncIterator

import pytest
from policy.raw_origin import Origin, open_origin


@pytest.fixture
async def origin() -> AsyncIterator[Origin]:
    async with open_origin() as opened:
        yield opened
