"""Name servers that do not answer or fail: downloads that need them fail in time, and others continue."""

import asyncio
import sys
from pathlib import Path

from support.daemon_process import DaemonProcess, make_config
from support.origin.origin import Origin
from support.origin.scripted_response import ScriptedResponse

SILENT_LAUNCHER = """
import socket, sys, time
from downloadd.daemon.main import main
real = socket.getaddrinfo
def resolve(host, port, *args, **options):
    if host.startswith("silent"):
        time.sleep(600)
    if host == "unknown.test":
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
    return real(host, port, *args, **options)
socket.getaddrinfo = resolve
del sys.argv[1:4]
main()
"""
"""Program that runs the daemon with such name servers."""

LOOKUPS = 40
"""Number of lookups, more than the threads for them."""


async def test_silent_name_servers_delay_no_other_download(tmp_path: Path, origin: Origin) -> None:
    origin.script("/f", ScriptedResponse(size=100))
    config = make_config(stall_timeout=1, timeout=2)
    async with DaemonProcess(tmp_path, config=config, launcher=(sys.executable, "-Ic", SILENT_LAUNCHER)) as daemon:
        failing = [await daemon.start_download("d", f"http://silent{number}.test/") for number in range(LOOKUPS)]
        failing.append(await daemon.start_download("d", "http://unknown.test/"))
        status, answer = await daemon.fetch("d", origin.url("/f"))
        assert (status, answer["message"]) == (201, "Download completed")
        entries = await asyncio.gather(*(daemon.wait_until_finished(one["download_id"]) for one in failing))
        assert {entry["status"] for entry in entries} == {"failed"}
        assert {entry["error"] for entry in entries} <= {"NETWORK_ERROR", "DOWNLOAD_TIMEOUT"}
        assert (await daemon.fetch("d", origin.url("/f")))[0] == 201
        assert "Traceback" not in daemon.log.read_text()
