"""The table of methods."""

import pytest
from support.rpc_stack import RpcStack

from downloadd.fronts.aria2.methods.method_table import METHODS, NAME_LISTS
from downloadd.users import Permission

NAMES = {
    *("addUri", "addTorrent", "addMetalink", "remove", "forceRemove", "pause", "forcePause", "pauseAll"),
    *("forcePauseAll", "unpause", "unpauseAll", "tellStatus", "getUris", "getFiles", "getPeers", "getServers"),
    *("tellActive", "tellWaiting", "tellStopped", "changePosition", "changeUri", "getOption", "changeOption"),
    *("getGlobalOption", "changeGlobalOption", "getGlobalStat", "purgeDownloadResult", "removeDownloadResult"),
    *("getVersion", "getSessionInfo", "shutdown", "forceShutdown", "saveSession"),
}
READING = {
    *("tellStatus", "tellActive", "tellWaiting", "tellStopped", "getUris", "getFiles", "getPeers", "getServers"),
    *("getOption", "getGlobalOption", "getGlobalStat", "getVersion", "getSessionInfo"),
}


def test_there_are_36_methods_and_6_notifications() -> None:
    assert set(METHODS) == {f"aria2.{name}" for name in NAMES}
    assert set(NAME_LISTS["system.listMethods"]) == {
        *METHODS,
        "system.multicall",
        "system.listMethods",
        "system.listNotifications",
    }
    assert len(NAME_LISTS["system.listMethods"]) == 36
    assert len(NAME_LISTS["system.listNotifications"]) == 6


@pytest.mark.parametrize("name", sorted(NAMES))
def test_reading_needs_less_than_changing(name: str) -> None:
    expected = Permission.VIEW_DOWNLOADS if name in READING else Permission.DOWNLOAD
    assert METHODS[f"aria2.{name}"].permission is expected


async def test_a_missing_permission_is_told_and_nothing_is_done(rpc: RpcStack) -> None:
    for name in NAMES:
        message = await rpc.refusal(name, token="importer")
        assert "permission" in message
        assert "nauthorized" not in message
        if name not in READING:
            assert await rpc.refusal(name, token="viewer") == message
    assert rpc.shutdowns == 0
