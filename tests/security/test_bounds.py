"""`max_size` applies to every kind of transfer: known or unknown length, one connection, several, or mirrors.

`min_free` on a disk of its own is tested in `end_to_end/test_storage.py`, quotas in `test_directories.py`.
"""

import asyncio
import io
import json
from pathlib import Path

from support.daemon_process import DaemonProcess, make_config
from support.file_tree import files_below, size_of
from support.origin.origin import Origin
from support.origin.scripted_response import Framing, ScriptedResponse

LIMIT = 300_000


async def test_a_url_of_sixteen_megabytes_is_refused_and_not_kept(tmp_path: Path) -> None:
    async with DaemonProcess(tmp_path) as daemon:
        huge_url = "http://u:s3cret@h.example/" + "x" * (15 << 20)
        for _ in range(2):
            batch = io.BytesIO(json.dumps({"downloads": [{"url": huge_url}]}).encode())
            response = asyncio.ensure_future(
                daemon.request("POST", "/api/v1/downloads", data=batch, headers={"Content-Type": "application/json"})
            )
            await asyncio.sleep(0)
            while not response.done():
                watch = daemon.stopwatch()
                assert (await daemon.request("GET", "/api/v1/health"))[0] == 200
                assert watch.seconds < 1
            status, body = await response
            assert (status, body["downloads"][0]["error"]) == (400, "INVALID_URL")
        history = await daemon.history()
        assert history
        assert max(len(str(entry)) for entry in history) < 20_000
        assert daemon.log.stat().st_size < 100_000
        assert sum(path.stat().st_size for path in daemon.state.glob("records.db*")) < 8 << 20
        assert "s3cret" not in daemon.log.read_text()


async def test_no_kind_of_request_exceeds_max_size(tmp_path: Path) -> None:
    async with (
        Origin() as origin,
        Origin() as mirror,
        DaemonProcess(tmp_path, config=make_config(max_size=LIMIT)) as daemon,
    ):
        for size, fits in ((LIMIT, True), (LIMIT + 1, False), (20_000_000, False)):
            answers = {
                "length": ScriptedResponse(size=size),
                "ranges": ScriptedResponse(size=size, etag='"v"'),
                "chunked": ScriptedResponse(size=size, framing=Framing.CHUNKED),
                "close": ScriptedResponse(size=size, framing=Framing.CLOSE),
            }
            for name, answer in answers.items():
                for server in (origin, mirror):
                    server.script(f"/{name}", answer)
                url = origin.url(f"/{name}")
                for urls, parameters in (
                    (url, {}),
                    (url, {"segments": "4"}),
                    ([url, mirror.url(f"/{name}")], {}),
                ):
                    status, body = await daemon.fetch(f"{size}", urls, **parameters)
                    expected = (201, None) if fits else (413, "FILE_TOO_LARGE")
                    assert (status, body["error"]) == expected, (size, name, parameters)
                    assert all(size_of(path) <= LIMIT for path in files_below(daemon.root))
        assert await daemon.has_no_stray_part_file()
        assert {len(content) for content in daemon.files().values()} == {LIMIT}
