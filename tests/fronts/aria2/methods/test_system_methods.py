"""Methods about the daemon itself."""

import re
from pathlib import Path

import pytest
from support.rpc_stack import RpcStack, open_rpc


async def test_the_version_is_one_that_clients_accept(rpc: RpcStack) -> None:
    version = await rpc.call("getVersion")
    assert version["version"] == "1.37.0"
    assert "Metalink" in version["enabledFeatures"]
    assert not {"BitTorrent", "SFTP"} & set(version["enabledFeatures"])


async def test_the_session_has_an_id_for_the_life_of_the_process(rpc: RpcStack, tmp_path: Path) -> None:
    info = await rpc.call("getSessionInfo")
    assert re.fullmatch("[0-9a-f]{40}", info["sessionId"])
    assert await rpc.call("getSessionInfo") == info
    async with open_rpc(tmp_path / "other") as other:
        assert await other.call("getSessionInfo") != info


async def test_there_is_nothing_to_save(rpc: RpcStack) -> None:
    assert await rpc.call("saveSession") == "OK"


@pytest.mark.parametrize("method", ["shutdown", "forceShutdown"])
async def test_clients_stop_the_daemon_only_if_they_may(rpc: RpcStack, tmp_path: Path, method: str) -> None:
    assert await rpc.call(method) == "OK"
    assert rpc.shutdowns == 1
    async with open_rpc(tmp_path / "other", allows_shutdown=False) as other:
        assert "aria2.allow_shutdown" in await other.refusal(method)
        assert other.shutdowns == 0
