"""Users and limits of two daemons over one database."""

import asyncio
import json
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest
from support.daemon_process import DEFAULT_CONFIG, DaemonProcess
from support.postgres_server import PostgresServer
from support.waiting import wait_until

from downloadd.accounts.user_file import write_users
from downloadd.accounts.user_store import make_user

pytestmark = pytest.mark.system


async def status(node: DaemonProcess, token: str) -> int:
    """Return the status of a request with a token."""
    async with (
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}) as client,
        client.get(f"{node.url}/api/v1/downloads") as response,
    ):
        return response.status


async def test_users_and_limits_that_are_changed_on_one_node_are_those_of_all(
    tmp_path: Path, postgres_server: PostgresServer
) -> None:
    url = postgres_server.url(await postgres_server.create_database())
    nodes = []
    for name in ("alpha", "beta"):
        (tmp_path / name / "state").mkdir(parents=True)
        cluster = f"[cluster]\ndatabase = {json.dumps(url)}\nnode = {json.dumps(name)}\n"
        nodes.append(DaemonProcess(tmp_path / name, config=f"{DEFAULT_CONFIG}\n{cluster}"))
        nodes[-1].root = tmp_path / "files"
    # One of them had a user before it had others beside it.
    former, shown = make_user("former", ["download"])
    write_users(nodes[1].state, [former])
    async with AsyncExitStack() as stack:
        for node in nodes:
            await stack.enter_async_context(node)
        alpha, beta = nodes
        made = await alpha.request("POST", "/api/v1/users", json={"id": "ann", "permissions": ["view-downloads"]})
        token = made[1]["token"]

        async def all_answer(token: str, expected: int) -> bool:
            return await asyncio.gather(*(status(node, token) for node in nodes)) == [expected] * 2

        assert await status(alpha, token) == 200
        for one in (token, shown.token):
            await wait_until(lambda one=one: all_answer(one, 200))
        listed = (await beta.request("GET", "/api/v1/users"))[1]["users"]
        assert [(user["id"], user["kind"]) for user in listed[1:]] == [("ann", "made"), ("former", "made")]
        rotated = (await beta.request("POST", "/api/v1/users/ann/rotate"))[1]["token"]
        assert await status(beta, token) == 401
        await wait_until(lambda: all_answer(rotated, 200))
        assert (await beta.request("DELETE", "/api/v1/users/ann"))[0] == 200
        assert await status(beta, rotated) == 401
        for one in (token, rotated):
            await wait_until(lambda one=one: all_answer(one, 401))
        assert (await beta.request("PATCH", "/api/v1/settings", json={"speed_limit": 5000, "max_per_host": 3}))[
            0
        ] == 200

        async def has_limits() -> bool:
            shown = (await alpha.request("GET", "/api/v1/settings"))[1]
            return (shown["speed_limit"], shown["max_per_host"]) == (5000, 3)

        await wait_until(has_limits)
        for node in nodes:
            written = node.log.read_text() + "".join(file.read_text() for file in node.state.glob("*.toml*"))
            assert not any(secret in written for secret in (token, rotated, shown.token))
