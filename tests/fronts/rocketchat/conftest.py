"""The API on a socket, over a fake import service."""

from collections.abc import AsyncIterator

import pytest
from support.served_api import ServedApi


@pytest.fixture
async def api() -> AsyncIterator[ServedApi]:
    api = ServedApi()
    async with api.client:
        yield api
