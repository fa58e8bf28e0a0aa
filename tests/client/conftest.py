from collections.abc import AsyncIterator

import pytest
from support.daemon_process import TOKEN, DaemonProcess

from downloadd.client import Client


@pytest.fixture
async def client(daemon: DaemonProcess) -> AsyncIterator[Client]:
    async with Client(daemon.url, token=TOKEN) as client:
        yield client
