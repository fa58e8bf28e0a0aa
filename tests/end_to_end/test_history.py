"""Removal from the history, in a running daemon."""

import os

from support.daemon_process import DEFAULT_CONFIG, DaemonProcess
from support.origin.origin import Origin
from support.origin.scripted_response import ScriptedResponse, error_response
from support.waiting import wait_until


async def test_an_entry_is_removed_with_its_file_also_after_a_restart(
    restartable: DaemonProcess, origin: Origin
) -> None:
    origin.script("/f", ScriptedResponse(size=1000, last_modified="Mon, 01 Jan 2024 00:00:00 GMT"))
    await restartable.start()
    ids = [(await restartable.fetch("d", origin.url("/f")))[1]["download_id"] for _ in range(3)]
    await restartable.kill()
    await restartable.start()
    paths = [restartable.root / "d" / name for name in ("f", "f (1)", "f (2)")]
    os.utime(paths[1])
    status, body = await restartable.request("DELETE", f"/api/v1/downloads/{ids[0]}?file=true")
    assert (status, body["id"], body["message"]) == (200, ids[0], "Removed from the history, with its file")
    status, body = await restartable.request("DELETE", f"/api/v1/downloads/{ids[1]}?file=true")
    assert (status, body["error"]) == (409, "FILE_CHANGED")
    assert (await restartable.request("DELETE", f"/api/v1/downloads/{ids[2]}"))[0] == 200
    assert [path.exists() for path in paths] == [False, True, True]
    assert [entry["id"] for entry in await restartable.history()] == [ids[1]]
    for id in (ids[0], ids[2]):
        assert (await restartable.request("GET", f"/api/v1/downloads/{id}"))[0] == 404


async def test_a_reload_changes_what_the_history_keeps(restartable: DaemonProcess, origin: Origin) -> None:
    origin.script("/gone", error_response(404))
    await restartable.start()
    for _ in range(5):
        await restartable.fetch("d", origin.url("/gone"))
    kept = [entry["id"] for entry in await restartable.history()][:2]
    await restartable.reload(f"{DEFAULT_CONFIG}\n[history]\nkeep_count = 2\n")

    async def is_pruned() -> bool:
        return [entry["id"] for entry in await restartable.history()] == kept

    await wait_until(is_pruned)
