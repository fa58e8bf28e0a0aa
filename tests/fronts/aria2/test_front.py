"""The RPC interface on a port of its own, beside the API."""

import json
from collections.abc import AsyncIterator

import pytest
from aiohttp.test_utils import TestClient
from aiohttp.web import BaseRequest
from support.served_api import TOKEN, ApiTestServer, ServedApi

from downloadd.config import Aria2Config
from downloadd.fronts.rest.api import create_rpc_api
from downloadd.policy.proxies import TrustedProxies

ECHO = {"id": 1, "method": "aria2.echo", "params": [f"token:{TOKEN}", 5]}


@pytest.fixture
async def further() -> AsyncIterator[TestClient[BaseRequest, None]]:
    """Return a client of the further port of an API with a base path."""
    api = ServedApi(aria2=Aria2Config(), base_path="/dl")
    assert api.rpc is not None
    rpc_api = create_rpc_api(rpc=api.rpc, metrics=api.metrics, clock=api.clock, proxies=TrustedProxies(()))
    async with api.client, TestClient[BaseRequest, None](ApiTestServer(rpc_api, {})) as client:
        yield client


async def test_its_paths_have_no_prefix(further: TestClient[BaseRequest, None]) -> None:
    async with further.post("/jsonrpc", json=ECHO) as response:
        assert (await response.json(content_type=None))["result"] == [5]
    async with further.ws_connect("/jsonrpc") as socket:
        await socket.send_str(json.dumps(ECHO))
        assert json.loads(await socket.receive_str())["result"] == [5]
    async with further.post("/rpc", data=b"<methodCall/>") as response:
        assert response.status == 200


@pytest.mark.parametrize("path", ["/", "/dl/jsonrpc", "/dl/api/v1/health", "/d?download=http%3A%2F%2Fa", "/jsonrpc/"])
async def test_it_serves_nothing_else(further: TestClient[BaseRequest, None], path: str) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}", "Origin": "https://ariang.example"}
    async with further.get(path, headers=headers) as response:
        assert response.status == 404
        assert response.headers["Access-Control-Allow-Origin"] == "*"
        assert "server.port" in (await response.json())["detail"]


async def test_a_directory_has_no_meaning_there(further: TestClient[BaseRequest, None]) -> None:
    async with further.get("/jsonrpc?download=http%3A%2F%2Fa") as response:
        assert (await response.json(content_type=None))["error"]["message"] == "Invalid Request."
