from collections.abc import AsyncIterator

import pytest
from support.daemon_process import TOKEN, DaemonProcess
from support.served_api import TOKEN as API_TOKEN
from support.served_api import ServedApi

from downloadd.client import Client


@pytest.fixture
async def client(daemon: DaemonProcess) -> AsyncIterator[Client]:
    async with Client(daemon.url, token=TOKEN) as client:
        yield client


@pytest.fixture
async def api() -> AsyncIterator[ServedApi]:
    """Serve the API in this process."""
    api = ServedApi()
    async with api.client:
        yield api


@pytest.fixture
async def api_client(api: ServedApi) -> AsyncIterator[Client]:
    """Open a client of the API in this process."""
    async with Client(f"http://{api.server.host}:{api.server.port}", token=API_TOKEN) as client:
        yield client
