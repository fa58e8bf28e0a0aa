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
from unittest.mock import MagicMock

import msgspec
import pytest
from daemon_process import DEFAULT_CONFIG, DaemonProcess
from nginx_origin import NginxOrigin, free_port

from downloadd.api.bodies import StartQuery
from downloadd.api.import_bodies import RawUploadQuery
from downloadd.api.routes import routes
from downloadd.client import ApiError, Client
from downloadd.config import DownloadsConfig, StorageConfig
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


@pytest.mark.timeout(240)
def test_a_newcomer_gets_from_nothing_to_the_first_file(tmp_path: Path) -> None:
    """getting-started.md from its first command to its last, as they stand there but for the port."""
    page = (DOCS / "getting-started.md").read_text()
    checkout, home, port = tmp_path / "checkout", tmp_path / "home", free_port()
    home.mkdir()
    shutil.copytree(TOP, checkout, ignore=shutil.ignore_patterns(".*", "tests", "docs", "build", "*.egg-info"))
    [set_up, start] = re.findall(r"^```sh\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    asks = re.findall(r"^\$ (.+)$", page, re.MULTILINE)
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "DOWNLOADD_SERVER__PORT": str(port),
        "DOWNLOADD_STORAGE__MIN_FREE": "0",
        "DOWNLOADD_DOWNLOADS__ALLOWED_NETWORKS": '["127.0.0.0/8"]',
        **{name: value for name, value in os.environ.items() if name.startswith("PIP_") or name.endswith("_proxy")},
    }

    def run(command: str, **variables: str) -> str:
        real = command.replace("http://127.0.0.1:8080", f"http://127.0.0.1:{port}")
        return subprocess.run(
            ["bash", "-ec", real],
            cwd=checkout,
            env={**environment, **variables},
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        ).stdout

    run(set_up)
    with NginxOrigin(tmp_path / "origin") as origin:
        (origin.www / "f.bin").write_bytes(b"first")
        daemon = subprocess.Popen(
            ["bash", "-ec", f"exec {start}"], cwd=checkout, env=environment, stdout=subprocess.PIPE, text=True
        )
        assert daemon.stdout is not None
        try:
            greeting = "".join(
                iter(daemon.stdout.readline, "Start a download, from this machine or with either kind of header:\n")
            )
            [link] = re.findall(r"http://\S+/#token=\S+", greeting)
            assert "<!doctype html>" in run(f"curl -sS '{link}'")
            assert "<svg" in run(f"curl -sS http://127.0.0.1:{port}/api/v1/page/icon.svg"), (
                "files of the page are installed"
            )
            variables = {"URL": f"{origin.http}/f.bin"}
            added, history, token, *answers = [run(command, **variables) for command in asks[:3]] + [
                run(f"{asks[2]}; {command}", **variables) for command in asks[3:]
            ]
            assert "Downloads/f.bin: completed, 5 B in" in added
            assert "Downloads/f.bin" in history
            assert token == ""
            health, started, active, past = map(json.loads, answers)
            assert (health["status"], started["message"], active) == ("ok", "Download completed", {"downloads": []})
            assert [row["status"] for row in past["history"]] == ["completed"] * 2
            assert (checkout / "files/Downloads/f.bin").read_bytes() == b"first"
        finally:
            daemon.terminate()
            daemon.communicate(timeout=20)


TRIED: Final = {
    ("README.md", "pip install . && downloadd --allow-download"): "test_a_newcomer_gets_from_nothing_to_the_first_file",
    ("README.md", "pip install '.[test]' && pytest"): "test_ci_runs_the_test_command_of_the_readme",
    ("README.md", "downloadctl add --watch"): "test_the_first_commands_fetch_a_file",
    ("README.md", "downloadctl new-token"): "test_a_new_token_lets_somebody_in",
    ("README.md", "sudo python3 -m venv /opt/downloadd"): "test_the_commands_that_install_the_service_do_so",
    ("README.md", "import asyncio"): "test_the_snippets_run_as_they_stand",
    ("README.md", "import { Client }"): "test_the_snippets_run_as_they_stand",
    ("README.md", "$ "): "test_the_tour_can_be_walked_from_its_first_command_to_its_last",
    ("deployment.md", "$ sqlite3"): "test_a_backup_while_the_daemon_runs_can_be_restored",
    ("deployment.md", "$ install"): "test_a_backup_while_the_daemon_runs_can_be_restored",
    ("getting-started.md", ""): "test_a_newcomer_gets_from_nothing_to_the_first_file",
    ("hooks.md", "printf"): "test_the_command_that_makes_a_secret_makes_one",
    ("hooks.md", "import base64"): "test_the_receiver_of_the_docs_accepts_what_is_signed_and_nothing_else",
    ("monitoring.md", "curl"): "test_the_commands_about_metrics_and_the_log_show_them",
    ("monitoring.md", "promtool check"): "test_the_scrape_configuration_of_the_docs_is_one",
    ("monitoring.md", "journalctl"): "test_the_commands_about_metrics_and_the_log_show_them",
}
"""Which test runs the commands and programs of a block, by its page and how it begins."""


@pytest.mark.parametrize("page", [TOP / "README.md", TOP / "SECURITY.md", *PAGES], ids=lambda page: page.name)
def test_every_command_is_run_by_a_test(page: Path) -> None:
    tests = "".join(path.read_text() for path in (TOP / "tests").rglob("test_*.py"))
    for block in re.findall(
        r"^```(?:sh|bash|console|python|js)\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL
    ):
        names = {test for (name, start), test in TRIED.items() if name == page.name and block.startswith(start)}
        assert names, f"no test runs this block of {page.name}:\n{block}"
        for name in names:
            assert f"def {name}(" in tests


async def test_the_commands_about_metrics_and_the_log_show_them(tmp_path: Path) -> None:
    page = (DOCS / "monitoring.md").read_text()
    [scrape] = re.findall(r"^(curl .*)$", page, re.MULTILINE)
    [story] = re.findall(r"^(journalctl .*)$", page, re.MULTILINE)
    state = tmp_path / ".local/state/downloadd"
    daemon = DaemonProcess(tmp_path, config=DEFAULT_CONFIG.partition("[[users]]")[0])
    daemon.state = state
    await daemon.start()
    try:
        token = (state / "token").read_text().strip()
        async with Client(daemon.url, token=token) as client:
            with pytest.raises(ApiError) as refused:
                await client.files.downloads.fetch(download="nonsense")
            id = json.loads(refused.value.body)["download_id"]

        def run(command: str) -> str:
            # Without systemd there is no journal; the lines are the same.
            real = f'journalctl() {{ cat "{daemon.log}"; }}; {command}'
            environment = {"HOME": str(tmp_path), "PATH": os.environ["PATH"]}
            return subprocess.run(
                ["bash", "-c", real], env=environment, check=True, stdout=subprocess.PIPE, text=True
            ).stdout

        metrics = await asyncio.to_thread(run, scrape.replace("http://127.0.0.1:8080", daemon.url))
        assert 'downloadd_downloads_ended_total{error="INVALID_URL",outcome="failed"} 1.0' in metrics
        told = await asyncio.to_thread(run, re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", id, story))
        assert len(told.splitlines()) >= 1
    finally:
        await daemon.kill()


def test_what_aria2_s_words_are_moved_to_is_there() -> None:
    page = (DOCS / "from-aria2.md").read_text()
    left, right = zip(*re.findall(r"^\| (`.*) \| (.*) \|$", page, re.MULTILINE), strict=True)
    assert len(left) > 20
    parameters = {field.name for form in (StartQuery, RawUploadQuery) for field in msgspec.structs.fields(form)}
    for words in right:
        for table, key in re.findall(r"`(storage|downloads)\.(\w+)`", words):
            assert key in {"storage": StorageConfig, "downloads": DownloadsConfig}[table].__struct_fields__, words
        for name in re.findall(r"`(\w+)=", words):
            assert name in parameters, words
        for method, path in re.findall(r"`(GET|POST|PATCH|DELETE) (/api/[^`?]*)", words):
            paths = {(one.method, one.path) for one in routes(MagicMock())}
            assert (method, path) in paths, words


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
