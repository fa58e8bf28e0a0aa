"""Content of finished files, from a running daemon."""

import os
import stat

import aiohttp
from support.daemon_process import DaemonProcess
from support.origin.origin import Origin
from support.origin.scripted_response import ScriptedResponse


async def test_a_finished_file_is_read_also_after_a_kill_and_only_while_it_is_the_one(
    restartable: DaemonProcess, origin: Origin
) -> None:
    body = os.urandom(1_500_000)
    origin.script("/f.txt", ScriptedResponse(body=body, content_type="text/plain"))
    await restartable.start()
    async with aiohttp.ClientSession() as anonymous:
        await check(restartable, origin, anonymous, body)


async def check(restartable: DaemonProcess, origin: Origin, anonymous: aiohttp.ClientSession, body: bytes) -> None:
    id = (await restartable.fetch("d", origin.url("/f.txt")))[1]["download_id"]
    link = (await restartable.request("POST", f"/api/v1/downloads/{id}/link"))[1]["url"]
    async with anonymous.get(restartable.url + link, headers={"Range": "bytes=1000000-"}) as response:
        assert (response.status, await response.read() == body[1_000_000:]) == (206, True)
    await restartable.kill()
    await restartable.start()
    # Links end with the process.
    async with anonymous.get(restartable.url + link) as response:
        assert response.status == 401
    link = (await restartable.request("POST", f"/api/v1/downloads/{id}/link"))[1]["url"]
    path = restartable.root / "d" / "f.txt"
    path.rename(path.with_name("g"))
    path.symlink_to("g")
    async with anonymous.get(restartable.url + link) as response:
        assert (response.status, (await response.json())["error"]) == (409, "FILE_CHANGED")
    path.unlink()
    path.with_name("g").rename(path)
    async with anonymous.get(restartable.url + link) as response:
        assert (response.status, await response.read() == body) == (200, True)
    path.write_bytes(b"secret of another program")
    assert stat.S_ISREG(path.stat().st_mode)
    async with anonymous.get(restartable.url + link) as response:
        assert (response.status, (await response.json())["error"]) == (409, "FILE_CHANGED")
    assert link.partition("ticket=")[2] not in restartable.log.read_text()
