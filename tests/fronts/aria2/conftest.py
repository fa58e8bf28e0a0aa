"""Fixtures of the tests of aria2's RPC: over fake methods on a socket, and the methods over real downloads."""

from collections.abc import AsyncIterator, Iterator, MutableMapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
import structlog
from support.manager_stack import CONFIG
from support.origin.origin import Origin
from support.origin.scripted_response import ScriptedResponse, error_response
from support.rpc_stack import RpcStack, open_rpc
from support.served_api import ServedApi

from downloadd.config import Aria2Config

SIZE = 400_000


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


@pytest.fixture
async def origin() -> AsyncIterator[Origin]:
    """Start an origin with a file, one of which a response sends a quarter at most, and errors."""
    async with Origin() as origin:
        origin.script("/a", ScriptedResponse(size=SIZE, etag='"a"'))
        origin.script("/b", ScriptedResponse(size=SIZE, etag='"a"'))
        origin.script("/slow", ScriptedResponse(size=SIZE, etag='"a"', stall_after=100_000))
        origin.script("/missing", error_response(404))
        yield origin


@pytest.fixture
async def rpc(tmp_path: Path) -> AsyncIterator[RpcStack]:
    """Open the methods."""
    async with open_rpc(tmp_path) as rpc:
        yield rpc


@pytest.fixture
async def single(tmp_path: Path) -> AsyncIterator[RpcStack]:
    """Open the methods of a daemon that runs one download at a time."""
    async with open_rpc(tmp_path, msgspec.structs.replace(CONFIG, max_concurrent=1)) as rpc:
        yield rpc
