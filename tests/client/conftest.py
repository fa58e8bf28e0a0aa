from collections.abc import AsyncIterator

import pytest
from end_to_end.conftest import daemon as daemon
from end_to_end.conftest import origin as origin
from end_to_end.conftest import restartable as restartable
from support.daemon_process import TOKEN, DaemonProcess

from downloadd.client import Client


@pytest.fixture
async def client(daemon: DaemonProcess) -> AsyncIterator[Client]:
    async with Client(daemon.url, token=TOKEN) as client:
        yield client
