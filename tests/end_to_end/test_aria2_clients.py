"""Published clients of aria2 drive the daemon unchanged; what they see is what they see of aria2c 1.36."""

import asyncio
import itertools
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from support.daemon_process import TOKEN, DaemonProcess
from support.origin.origin import Origin
from support.origin.scripted_response import ScriptedResponse, error_response
from support.waiting import wait_until

ARIA_NG_KEYS = (
    *("gid", "totalLength", "completedLength", "uploadSpeed", "downloadSpeed", "connections", "numSeeders", "seeder"),
    *("status", "errorCode", "verifiedLength", "verifyIntegrityPending", "files", "bittorrent", "infoHash"),
)
"""Keys that the lists of AriaNg 1.3.14 ask for."""

SCRIPTS = Path(__file__).with_name("aria2_clients")
SMALL = 100_000
SLOW = 50_000_000


@pytest.fixture(scope="module")
def modules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the clients for Node.js."""
    folder = tmp_path_factory.mktemp("node")
    quiet = ("--silent", "--no-audit", "--no-fund", "--ignore-scripts")
    subprocess.run(["npm", "install", *quiet, "aria2", "maria2", "ws"], cwd=folder, check=True, timeout=120)
    return folder / "node_modules"


@pytest.fixture
async def daemon(tmp_path: Path) -> AsyncIterator[DaemonProcess]:
    """Start a daemon with its defaults; assert afterwards that its log has no token."""
    async with DaemonProcess(tmp_path) as daemon:
        yield daemon
    log = daemon.log.read_text()
    assert TOKEN not in log
    assert "Traceback" not in log


@pytest.fixture
def folder(origin: Origin) -> str:
    """Return the URL of a folder with the files of the sessions."""
    origin.script("/small.bin", ScriptedResponse(size=SMALL, etag='"small"'))
    origin.script("/slow.bin", ScriptedResponse(size=SLOW, etag='"slow"', rate=1_000_000))
    origin.script("/gone.bin", error_response(404))
    return origin.url("/")


async def run_session(daemon: DaemonProcess, folder: str, *command: str, modules: Path | None = None) -> dict[str, Any]:
    """Run the session of a client and return what it saw."""
    script, *more = command
    interpreter = sys.executable if script.endswith(".py") else "node"
    port = daemon.url.rpartition(":")[2]
    process = await asyncio.create_subprocess_exec(
        *(interpreter, str(SCRIPTS / script), port, TOKEN, folder, *more),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=os.environ if modules is None else {**os.environ, "NODE_PATH": str(modules)},
    )
    async with asyncio.timeout(100):
        output, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    seen: dict[str, Any] = json.loads(output)
    return seen


@pytest.mark.timeout(120)
async def test_the_library_of_aria2p_adds_changes_moves_retries_and_removes(daemon: DaemonProcess, folder: str) -> None:
    seen = await run_session(daemon, folder, "aria2p_session.py")
    assert seen == {
        "methods": 36,
        "version": "1.37.0",
        "small": ["complete", SMALL, SMALL, "by-aria2p.bin", "0"],
        "path": str(daemon.root / "by-aria2p.bin"),
        "limit": 200 * 1024,
        "changed_limit": 100 * 1024,
        "paused": True,
        "resumed": True,
        "moved": [0, 2, 0],
        "order": [1, 2, 0],
        "failed": ["error", "3"],
        "retried": 1,
        "removed": [True] * 4,
        "stats": [0, 0],
        "purged": True,
        "left": 0,
        "global": True,
        "global_value": 7,
        "unknown": [1, "GID 0123456789abcdef is not found"],
    }


@pytest.mark.timeout(120)
async def test_the_command_of_aria2p_adds_and_shows_downloads(daemon: DaemonProcess, folder: str) -> None:
    port = daemon.url.rpartition(":")[2]

    async def aria2p(*arguments: str) -> str:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "aria2p", "-p", port, "-s", TOKEN, *arguments),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(60):
            output, errors = await process.communicate()
        assert process.returncode == 0, errors.decode()
        return output.decode()

    async def is_downloading() -> bool:
        return [entry["status"] for entry in await daemon.active()] == ["downloading"]

    await aria2p("add", f"{folder}slow.bin")
    await wait_until(is_downloading)
    assert "slow.bin" in await aria2p("show")
    await aria2p("pause", "-a")
    assert {entry["status"] for entry in await daemon.active()} == {"paused"}
    await aria2p("remove", "-a")
    assert await daemon.active() == []


@pytest.mark.timeout(120)
async def test_aioaria2_calls_over_http_and_hears_every_notification(daemon: DaemonProcess, folder: str) -> None:
    seen = await run_session(daemon, folder, "aioaria2_session.py")
    assert seen == {
        "version": "1.37.0",
        "methods": 36,
        "small": [str(SMALL), "by-aioaria2.bin"],
        "multicall": [16, 16, 16],
        "stat": ["downloadSpeed", "numActive", "numStopped", "numStoppedTotal", "numWaiting", "uploadSpeed"],
        "unknown": True,
        "completed": ["aria2.onDownloadStart", "aria2.onDownloadComplete"],
        "failed": ["aria2.onDownloadStart", "aria2.onDownloadError"],
        "started": ["aria2.onDownloadStart"],
        "paused": ["aria2.onDownloadPause"],
        "unpaused": ["aria2.onDownloadStart"],
        "removed": ["aria2.onDownloadStop"],
    }


@pytest.mark.timeout(180)
@pytest.mark.parametrize("transport", ["http", "ws"])
async def test_the_package_aria2_of_npm_calls_batches_and_multicalls(
    daemon: DaemonProcess, folder: str, modules: Path, transport: str
) -> None:
    seen = await run_session(daemon, folder, "npm_aria2_session.js", transport, modules=modules)
    status, unknown, (gid,) = seen.pop("multicall")
    assert status == [{"status": "paused"}]
    assert unknown == {"code": 1, "message": "GID 0123456789abcdef is not found"}
    assert len(gid) == 16
    events = [
        ["onDownloadStart", "onDownloadComplete"],
        ["onDownloadStart", "onDownloadPause", "onDownloadStart", "onDownloadStop"],
    ]
    assert seen == {
        "methods": 36,
        "notifications": 6,
        "small": str(SMALL),
        "batch": ["object", "string", "Invalid GID xyz"],
        "error": [1, "GID#GID cannot be unpaused now"],
        **({"events": events} if transport == "ws" else {}),
    }


@pytest.mark.timeout(180)
@pytest.mark.parametrize("transport", ["http", "ws"])
async def test_maria2_calls_and_moves(daemon: DaemonProcess, folder: str, modules: Path, transport: str) -> None:
    assert await run_session(daemon, folder, "maria2_session.mjs", transport, modules=modules) == {
        "events": [True] if transport == "ws" else [],
        "methods": 36,
        "small": str(SMALL),
        "position": 0,
        "multicall": 2,
        "unknown": "GID 0123456789abcdef is not found",
    }


async def test_the_requests_of_aria_ng_over_a_web_socket_have_the_answers_that_it_needs(
    daemon: DaemonProcess, folder: str
) -> None:
    """Replay what the page, which no package registry has, sends for its lists, actions, settings and status."""
    assert daemon.client is not None
    token = f"token:{TOKEN}"
    async with daemon.client.ws_connect(f"{daemon.url}/jsonrpc", origin="null") as socket:
        numbers = itertools.count()

        async def call(method: str, *params: Any) -> Any:
            id = f"AriaNg_{next(numbers)}"
            await socket.send_json({"jsonrpc": "2.0", "method": method, "id": id, "params": [token, *params]})
            while True:
                message = await socket.receive_json(timeout=30)
                if message.get("id") == id:
                    # AriaNg takes no falsy result for an answer.
                    assert message["result"] or message["result"] == []
                    return message["result"]

        async def list_until(method: str, *window: int) -> dict[str, Any]:
            while not (rows := await call(method, *window, list(ARIA_NG_KEYS))):
                await asyncio.sleep(0.05)
            row: dict[str, Any] = rows[0]
            return row

        assert int((await call("aria2.getGlobalStat"))["numActive"]) == 0
        gid = await call("aria2.addUri", [f"{folder}slow.bin"], {})
        active = await list_until("aria2.tellActive")
        assert (active["gid"], active["status"]) == (gid, "active")
        # The length is known once the origin has answered.
        while (await list_until("aria2.tellActive"))["totalLength"] != str(SLOW):
            await asyncio.sleep(0.05)
        assert await call("aria2.forcePause", gid) == gid
        waiting = await list_until("aria2.tellWaiting", 0, 1000)
        assert (waiting["gid"], waiting["status"], waiting["totalLength"]) == (gid, "paused", str(SLOW))
        assert waiting["files"][0]["path"] == str(daemon.root / "slow.bin")
        options = await call("aria2.getOption", gid)
        assert await call("aria2.changeOption", gid, {"max-download-limit": "1M"}) == "OK"
        assert await call("aria2.unpause", gid) == gid
        # Its "Retry" adds the URIs again, with all options of the first.
        uris = [each["uri"] for each in (await call("aria2.tellStatus", gid))["files"][0]["uris"]]
        assert uris == [f"{folder}slow.bin"]
        again = await call("aria2.addUri", uris, {**options, "pause": "true"})
        multicall = [{"methodName": "aria2.forceRemove", "params": [token, each]} for each in (gid, again)]
        await socket.send_json({"jsonrpc": "2.0", "method": "system.multicall", "id": "m", "params": [multicall]})
        while (message := await socket.receive_json(timeout=30)).get("id") != "m":
            pass
        assert message["result"] == [[gid], [again]]
        stopped = await list_until("aria2.tellStopped", -1, 1000)
        assert (stopped["status"], stopped["errorCode"]) == ("removed", "31")
        settings = await call("aria2.getGlobalOption")
        assert await call("aria2.changeGlobalOption", settings) == "OK"
        assert await call("aria2.purgeDownloadResult") == "OK"
        assert await call("aria2.tellStopped", -1, 1000, list(ARIA_NG_KEYS)) == []
        assert "Metalink" in (await call("aria2.getVersion"))["enabledFeatures"]
        assert await call("aria2.saveSession") == "OK"
