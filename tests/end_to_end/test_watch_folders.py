"""Watch folders of the installed daemon, with a real origin, across a kill."""

import asyncio
import json
from pathlib import Path

from support.daemon_process import DEFAULT_CONFIG, DaemonProcess
from support.origin.origin import Origin
from support.origin.scripted_response import ScriptedResponse
from support.waiting import wait_until


async def test_files_of_a_folder_are_downloaded_across_a_kill_and_move_aside(tmp_path: Path, origin: Origin) -> None:
    folder = tmp_path / "incoming"
    folder.mkdir()
    (folder / "links.txt").write_text(f"{origin.url('/a.bin')}\n{origin.url('/missing')}\n")
    release = asyncio.Event()
    origin.script("/a.bin", ScriptedResponse(size=1000, head_event=release))
    origin.script("/missing", ScriptedResponse(status=404))
    config = DEFAULT_CONFIG + f'[[watch]]\npath = "{folder}"\nsettle = 0.1\n'
    (tmp_path / "daemon").mkdir()
    async with DaemonProcess(tmp_path / "daemon", config=config) as daemon:
        await wait_until(lambda: origin.requests("/a.bin"))
        await daemon.kill()
        (folder / "binary").write_bytes(b"\0\1")
        await daemon.start()
        release.set()
        await wait_until(lambda: all((folder / "failed" / name).exists() for name in ("links.txt", "binary")))
        history = await daemon.history()
    results = {
        name: json.loads((folder / "failed" / f"{name}.result.json").read_text()) for name in ("links.txt", "binary")
    }
    assert (results["links.txt"]["total"], results["links.txt"]["completed"], results["links.txt"]["failed"]) == (
        2,
        1,
        1,
    )
    assert (daemon.root / results["links.txt"]["directory"] / "a.bin").stat().st_size == 1000
    assert "no importer" in results["binary"]["reason"]
    assert len(history) == 2
