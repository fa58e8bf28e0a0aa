"""The pages in docs/: the generated ones are fresh, the commands run, the links lead somewhere."""

import asyncio
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest
from daemon_process import TOKEN, DaemonProcess
from nginx_origin import NginxOrigin

from downloadd.documentation import ADVICE
from downloadd.errors import ErrorCode

TOP: Final = Path(__file__).parents[1]
DOCS: Final = TOP / "docs"
PAGES: Final = sorted(DOCS.glob("*.md"))


def test_the_generated_pages_are_fresh(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    shutil.copy(TOP / "config.example.toml", tmp_path)
    subprocess.run([sys.executable, "-Im", "downloadd.documentation"], cwd=tmp_path, check=True)
    made = {path.name: path.read_text() for path in (tmp_path / "docs").iterdir()}
    assert set(made) == {"api.md", "configuration.md", "errors.md"}
    for name, text in made.items():
        assert (DOCS / name).read_text() == text, f"docs/{name} is stale: python -m downloadd.documentation"


def test_each_error_code_has_advice() -> None:
    assert set(ADVICE) == set(ErrorCode)


def test_every_setting_is_explained() -> None:
    rows = re.findall(r"^\| `(\w+)` \|.*\| (.*) \|$", (DOCS / "configuration.md").read_text(), re.MULTILINE)
    assert len(rows) > 30
    assert [name for name, meaning in rows if not meaning] == []


@pytest.mark.parametrize("page", PAGES, ids=[page.name for page in PAGES])
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:|#)([^)#\s]+)", page.read_text()):
        assert (page.parent / target).exists(), target


async def test_the_first_commands_of_a_newcomer_run(tmp_path: Path) -> None:
    """Those of getting-started.md that ask the daemon, as they stand there but for the port."""
    [block] = re.findall(
        r"^```console\n(.*?)^```$", (DOCS / "getting-started.md").read_text(), re.MULTILINE | re.DOTALL
    )
    with NginxOrigin(tmp_path / "origin") as origin:
        (origin.www / "f.bin").write_bytes(b"first")
        environment = {**os.environ, "TOKEN": TOKEN, "URL": f"{origin.http}/f.bin"}
        async with DaemonProcess(tmp_path) as daemon:
            printed = []
            for command in re.findall(r"^\$ (.+)$", block, re.MULTILINE):
                real = command.replace("http://127.0.0.1:8080", daemon.url)
                done = await asyncio.to_thread(
                    subprocess.run, ["sh", "-ec", real], env=environment, check=True, capture_output=True
                )
                printed.append(json.loads(done.stdout))
            health, started, active, history = printed
            assert (health["status"], started["message"], active) == ("ok", "Download completed", {"downloads": []})
            assert [row["status"] for row in history["history"]] == ["completed"]
            assert daemon.files() == {"Downloads/f.bin": b"first"}


async def test_a_backup_while_the_daemon_runs_can_be_restored(tmp_path: Path) -> None:
    """The commands of deployment.md, as they stand there."""
    page = (DOCS / "deployment.md").read_text()
    [backup, restore] = re.findall(r"^```console\n\$ (sqlite3 .*|install .*)\n```$", page, re.MULTILINE)
    environment = {**os.environ, "STATE_DIRECTORY": str(tmp_path / "state"), "BACKUP": str(tmp_path / "backup.db")}
    async with DaemonProcess(tmp_path) as daemon:
        status, answer = await daemon.fetch("d", "http://127.0.0.1:1/f")
        assert status == 403
        subprocess.run(["sh", "-ec", backup], env=environment, check=True)
        await daemon.stop()
        shutil.rmtree(daemon.state)
        daemon.state.mkdir(mode=0o700)
        subprocess.run(["sh", "-ec", restore], env=environment, check=True)
        await daemon.start()
        assert [row["id"] for row in await daemon.history()] == [answer["download_id"]]
    with sqlite3.connect(tmp_path / "backup.db") as copy:
        assert copy.execute("pragma integrity_check").fetchone() == ("ok",)
    copy.close()


def test_the_caddyfile_of_the_documentation_is_valid(tmp_path: Path) -> None:
    [text] = re.findall(r"^```caddyfile\n(.*?)^```$", (DOCS / "deployment.md").read_text(), re.MULTILINE | re.DOTALL)
    (tmp_path / "Caddyfile").write_text(text)
    environment = {**os.environ, "HOME": str(tmp_path)}
    command = ["caddy", "validate", "--adapter", "caddyfile", "--config", "Caddyfile"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
