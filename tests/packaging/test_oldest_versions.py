"""The package with the oldest versions of its dependencies that `pyproject.toml` declares."""

import asyncio
import os
import sys
from pathlib import Path

import pytest
from docs.pages import TOP
from support.origin.origin import Origin
from support.origin.scripted_response import ScriptedResponse
from support.waiting import CONDITION_TIMEOUT, wait_until

UV = Path(sys.executable).with_name("uv")
pytestmark = pytest.mark.system


async def run(*command: str | Path, environment: dict[str, str]) -> str:
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, env=environment
    )
    async with asyncio.timeout(2 * CONDITION_TIMEOUT):
        output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    return output.decode()


async def test_a_file_is_downloaded_with_the_oldest_declared_versions(tmp_path: Path, origin: Origin) -> None:
    environment = {
        **os.environ,
        "HOME": str(tmp_path),
        "DOWNLOADD_DOWNLOADS__ALLOWED_NETWORKS": '["127.0.0.0/8"]',
        "DOWNLOADD_STORAGE__MIN_FREE": "0",
        # The cache of the user, and not one in the new home.
        "UV_CACHE_DIR": os.environ.get("UV_CACHE_DIR", os.path.expanduser("~/.cache/uv")),
    }
    folder, state = tmp_path / "venv", tmp_path / "state"
    install = ("pip", "install", "--quiet", "--resolution", "lowest-direct", "--python", folder, f"{TOP}[cluster]")
    await run(UV, "venv", "--quiet", "--python", sys.executable, folder, environment=environment)
    await run(UV, *install, environment=environment)
    versions = await run(UV, "pip", "freeze", "--python", folder, environment=environment)
    assert "click==8.1.0\n" in versions
    origin.script("/f", ScriptedResponse(size=1000))
    daemon = await asyncio.create_subprocess_exec(
        folder / "bin/downloadd",
        *("--allow-download", "--port", "0", "--state-dir", state, "--root", tmp_path / "files"),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        env=environment,
    )
    try:
        await wait_until(lambda: (state / "address").exists())
        command = (folder / "bin/downloadctl", "--state-dir", state)
        assert "f: completed" in await run(
            *command, "add", "--watch", "--segments", "2", origin.url("/f"), environment=environment
        )
        assert "completed" in await run(*command, "history", "--status", "completed", environment=environment)
        assert await run(folder / "bin/python", "-c", "import asyncpg", environment=environment) == ""
    finally:
        daemon.terminate()
        await daemon.wait()
    assert (tmp_path / "files/f").stat().st_size == 1000
