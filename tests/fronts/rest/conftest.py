"""The API on a socket, and its log lines."""

from collections.abc import AsyncIterator, Iterator, MutableMapping
from typing import Any

import pytest
import structlog
from support.served_api import ServedApi

from downloadd.fronts.rest.connection_limit import ConnectionLimit


@pytest.fixture
async def api() -> AsyncIterator[ServedApi]:
    api = ServedApi()
    async with api.client:
        yield api


@pytest.fixture
async def api_limited_to_three_connections() -> AsyncIterator[ServedApi]:
    api = ServedApi(server={"limit": ConnectionLimit(3)})
    async with api.client:
        yield api


@pytest.fixture(autouse=True)
def lines() -> Iterator[list[MutableMapping[str, Any]]]:
    """Return the log lines."""
    with structlog.testing.capture_logs(processors=[structlog.contextvars.merge_contextvars]) as lines:
        yield lines
