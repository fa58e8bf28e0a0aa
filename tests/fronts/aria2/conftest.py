"""The RPC interface on a socket, over fake methods, and its log lines."""

from collections.abc import AsyncIterator, Iterator, MutableMapping
from typing import Any

import pytest
import structlog
from support.served_api import ServedApi

from downloadd.config import Aria2Config


@pytest.fixture
async def api() -> AsyncIterator[ServedApi]:
    api = ServedApi(aria2=Aria2Config())
    async with api.client:
        yield api


@pytest.fixture(autouse=True)
def lines() -> Iterator[list[MutableMapping[str, Any]]]:
    """Return the log lines."""
    with structlog.testing.capture_logs(processors=[structlog.contextvars.merge_contextvars]) as lines:
        yield lines
