"""Servers on real sockets, with fakes below the interfaces."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from support.ports import free_port
from support.served_api import TOKEN, ServedApi
from support.waiting import CONDITION_TIMEOUT

from downloadd.config import Aria2Config, TcpAddress
from downloadd.daemon.listeners import bind, listener_url
from downloadd.fronts.rest.api import create_rpc_api
from downloadd.policy.proxies import TrustedProxies
from downloadd.servers import Servers

CALL = {"id": "1", "method": "aria2.echo", "params": [f"token:{TOKEN}", 7]}


@asynccontextmanager
async def serving(*, has_rpc: bool = True, max_clients: int | None = None) -> AsyncIterator[tuple[str, str]]:
    """Yield the URLs of the port for all paths and of that for the RPC alone; the latter is "" without one."""
    api = ServedApi(aria2=Aria2Config())
    assert api.rpc is not None
    rpc = create_rpc_api(rpc=api.rpc, metrics=api.metrics, clock=api.clock, proxies=TrustedProxies(()))
    # It would only serve its own port.
    await api.client.close()
    async with Servers(api.server._api, rpc if has_rpc else None, max_clients=max_clients) as servers:
        sockets = bind(TcpAddress("127.0.0.1", free_port()))
        rpc_sockets = bind(TcpAddress("127.0.0.1", free_port())) if has_rpc else []
        await servers.listen(sockets, rpc_sockets=rpc_sockets)
        yield listener_url(sockets[0]), listener_url(rpc_sockets[0]) if has_rpc else ""


async def test_the_further_port_serves_the_rpc_alone() -> None:
    async with serving() as (url, rpc_url), aiohttp.ClientSession() as client:
        for base, health_status in ((url, 200), (rpc_url, 404)):
            async with client.get(f"{base}/api/v1/health", headers={"Host": "api"}) as response:
                assert response.status == health_status
            async with client.post(f"{base}/jsonrpc", json=CALL, headers={"Host": "api"}) as response:
                assert response.status == 200


async def test_without_the_rpc_there_is_one_server_for_all_paths() -> None:
    async with (
        serving(has_rpc=False) as (url, _),
        aiohttp.request("GET", f"{url}/api/v1/health", headers={"Host": "api"}) as response,
    ):
        assert response.status == 200


async def test_both_ports_share_the_limit_on_connections() -> None:
    async with serving(max_clients=1) as (url, rpc_url), aiohttp.ClientSession() as client:
        host, _, port = url.removeprefix("http://").partition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        try:
            async with client.post(f"{rpc_url}/jsonrpc", json=CALL, headers={"Host": "api"}) as response:
                assert response.status == 200
            async with asyncio.timeout(CONDITION_TIMEOUT):
                assert await reader.read() == b""
        finally:
            writer.close()


async def test_at_the_end_neither_port_accepts_connections() -> None:
    async with serving() as urls:
        pass
    async with aiohttp.ClientSession() as client:
        for url in urls:
            with pytest.raises(aiohttp.ClientConnectorError):
                await client.get(f"{url}/jsonrpc")
