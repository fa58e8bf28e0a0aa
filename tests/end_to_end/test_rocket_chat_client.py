"""Rocket.Chat's own REST client, as published on npm, works unchanged."""

import asyncio
import base64
import json
import subprocess
import tarfile
from pathlib import Path

import pytest
from end_to_end.test_imports import export, serve
from support.daemon_process import TOKEN, USER, DaemonProcess
from support.import_files import packed
from support.origin.origin import Origin

PACKAGE = "@rocket.chat/api-client"
SCRIPT = Path(__file__).with_name("rocket_chat_client.js")


@pytest.fixture(scope="module")
def modules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the client with its dependencies, except the types, which need a compiler."""
    folder = tmp_path_factory.mktemp("node")
    quiet = ("--silent", "--no-audit", "--no-fund", "--ignore-scripts")
    subprocess.run(["npm", "install", *quiet, "query-string@^7.1.3"], cwd=folder, check=True, timeout=120)
    packed_as = subprocess.run(
        ["npm", "pack", *quiet, PACKAGE], cwd=folder, check=True, timeout=120, capture_output=True, text=True
    ).stdout.split()[-1]
    with tarfile.open(folder / packed_as) as archive:
        archive.extractall(folder, filter="data")
    home = folder / "node_modules" / PACKAGE
    home.parent.mkdir()
    (folder / "package").rename(home)
    return folder / "node_modules"


@pytest.mark.timeout(300)
async def test_the_client_of_rocket_chat_completes_an_import(
    daemon: DaemonProcess, origin: Origin, modules: Path
) -> None:
    serve(origin)
    content = base64.b64encode(packed(export(origin, ["F1", "F2"]))).decode()
    process = await asyncio.create_subprocess_exec(
        *("node", str(SCRIPT), daemon.url, USER, TOKEN, content),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={"NODE_PATH": str(modules), "PATH": "/usr/local/bin:/usr/bin:/bin"},
    )
    async with asyncio.timeout(60):
        output, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    answers = json.loads(output)
    assert answers["upload"] == {"success": True}
    assert [channel["name"] for channel in answers["data"]["channels"]] == ["general", "empty"]
    assert answers["start"] == {"success": True}
    assert answers["pending"] == {"success": True, "count": 2}
    assert answers["progress"]["count"]["completed"] == 2
    assert answers["operation"]["operation"]["importerKey"] == "pending-files"
    assert [operation["importerKey"] for operation in answers["latest"]] == ["pending-files", "slack"]
    assert answers["refused"]["errorType"] == "error-import-operation-invalid"
    assert len([path for path in daemon.files() if path.endswith(".gif")]) == 2
