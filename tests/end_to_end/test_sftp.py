"""Files of the installed daemon on an SFTP server: sshd of OpenSSH, with kills."""

import asyncio
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from support.daemon_process import DEFAULT_CONFIG, DaemonProcess
from support.origin.content import expected_bytes
from support.origin.origin import Origin
from support.origin.scripted_response import ScriptedResponse
from support.sftp_server import SftpFolder, SftpRequests, running_sftp_server
from support.waiting import wait_until

PART = 5 << 20
SIZE = PART + 1000
CONTENT = expected_bytes(0, 0, SIZE)


def storage_config(server: SftpFolder, rest: str = "") -> str:
    """Return a configuration with an SFTP server for the directory `Mirror`."""
    return f"""{DEFAULT_CONFIG}
[[storages]]
path = "Mirror"
url = "{server.url}"
known_hosts_file = "{server.known_hosts}"
private_key_file = "{server.key}"
part_size = "5 MiB"
{rest}"""


@pytest.fixture
async def mirroring(tmp_path: Path, sftp_requests: SftpRequests) -> AsyncIterator[DaemonProcess]:
    """Daemon with a server whose requests pass the test; assert that its log has no traceback."""
    folder = tmp_path / "daemon"
    folder.mkdir()
    async with DaemonProcess(folder, config=storage_config(sftp_requests.server)) as running:
        yield running
    assert "Traceback" not in running.log.read_text()


def files_of(server: SftpFolder) -> dict[str, bytes]:
    return {
        str(path.relative_to(server.files)): path.read_bytes() for path in server.files.rglob("*") if path.is_file()
    }


async def test_a_file_is_published_read_and_removed(tmp_path: Path, sftp_folder: SftpFolder, origin: Origin) -> None:
    origin.script("/f.bin", ScriptedResponse(size=SIZE))
    async with DaemonProcess(tmp_path, config=storage_config(sftp_folder)) as daemon:
        status, answer = await daemon.fetch("Mirror/2026", origin.url("/f.bin"))
        assert (status, answer["path"]) == (201, "Mirror/2026/f.bin")
        assert files_of(sftp_folder) == {"2026/f.bin": CONTENT}
        assert daemon.files() == {}
        _, second = await daemon.fetch("Mirror/2026", origin.url("/f.bin"))
        assert second["path"] == "Mirror/2026/f (1).bin"
        assert daemon.client is not None
        async with daemon.client.get(f"{daemon.url}/api/v1/downloads/{answer['download_id']}/file") as response:
            assert (response.status, await response.read()) == (200, CONTENT)
        status, _ = await daemon.request("DELETE", f"/api/v1/downloads/{answer['download_id']}?file=true")
        assert status in {200, 204}
        assert list(files_of(sftp_folder)) == ["2026/f (1).bin"]
    assert "Traceback" not in daemon.log.read_text()


@pytest.mark.parametrize(
    "moment",
    [
        pytest.param(moment, marks=() if moment in {"after fsync", "after hardlink"} else pytest.mark.exhaustive)
        for request in ("open", "write", "fsync", "setstat", "hardlink", "remove")
        for moment in (f"before {request}", f"after {request}")
    ],
)
async def test_a_kill_between_two_requests_of_an_upload_loses_nothing(
    mirroring: DaemonProcess, origin: Origin, sftp_requests: SftpRequests, moment: str
) -> None:
    origin.script("/f.bin", ScriptedResponse(size=SIZE))
    killed = asyncio.Event()

    async def kill(now: str) -> bool:
        if now == moment and not killed.is_set():
            await mirroring.kill()
            killed.set()
        return True

    sftp_requests.act = kill
    started = await mirroring.start_download("Mirror", origin.url("/f.bin"))
    await asyncio.wait_for(killed.wait(), 60)
    assert files_of(sftp_requests.server).get("f.bin", CONTENT) == CONTENT
    await mirroring.start()
    await mirroring.wait_for_state(started["download_id"], "completed")
    await wait_until(lambda: files_of(sftp_requests.server) == {"f.bin": CONTENT})
    assert mirroring.part_files() == []
    assert len(origin.requests("/f.bin")) == 1


async def test_the_upload_of_a_cancelled_download_is_removed(
    mirroring: DaemonProcess, origin: Origin, sftp_requests: SftpRequests
) -> None:
    origin.script("/f.bin", ScriptedResponse(size=SIZE))
    reached, release = asyncio.Event(), asyncio.Event()

    async def hold(now: str) -> bool:
        if now == "before fsync":
            reached.set()
            await release.wait()
        return True

    sftp_requests.act = hold
    started = await mirroring.start_download("Mirror", origin.url("/f.bin"))
    await asyncio.wait_for(reached.wait(), 60)
    assert (await mirroring.control(started["download_id"], "cancel"))[0] == 200
    await mirroring.wait_for_state(started["download_id"], "cancelled")
    release.set()
    await mirroring.kill()
    # The search at the start finds it.
    await mirroring.start()
    await wait_until(lambda: files_of(sftp_requests.server) == {})
    assert mirroring.part_files() == []


async def test_a_server_that_is_away_holds_its_downloads_and_no_others(tmp_path: Path, origin: Origin) -> None:
    origin.script("/f.bin", ScriptedResponse(size=1000))
    folder = tmp_path / "sftp"
    folder.mkdir()
    with running_sftp_server(folder) as server:
        pass
    async with DaemonProcess(tmp_path, config=storage_config(server)) as daemon:
        started = await daemon.start_download("Mirror", origin.url("/f.bin"))

        async def held() -> dict[str, Any] | None:
            entry = await daemon.get_download(started["download_id"])
            return entry if entry["status"] == "retrying" else None

        entry = await wait_until(held)
        assert "the SFTP server of Mirror" in entry["detail"]
        assert "does not answer" in entry["detail"]
        status, _ = await daemon.fetch("elsewhere", origin.url("/f.bin"))
        assert status == 201
        with running_sftp_server(folder, port=server.port):
            await daemon.wait_for_state(started["download_id"], "completed")
        assert list(files_of(server)) == ["f.bin"]
        assert len(origin.requests("/f.bin")) == 2


async def test_a_daemon_without_a_login_says_so(tmp_path: Path) -> None:
    config = DEFAULT_CONFIG + '[[storages]]\npath = "Mirror"\nurl = "sftp://me@127.0.0.1/srv"\n'
    command = DaemonProcess(tmp_path, config=config).command()
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "the SFTP server of Mirror (sftp://me@127.0.0.1/srv) has no login" in done.stderr + done.stdout
    assert "private_key_file" in done.stderr + done.stdout
    assert "Traceback" not in done.stderr
