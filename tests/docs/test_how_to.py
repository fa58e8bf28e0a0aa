"""The how-to pages: their commands, programs and configurations work."""

import asyncio
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import msgspec
import pytest
from docs.pages import TOP, blocks, read, rows, section
from support.config_files import load
from support.daemon_process import DEFAULT_CONFIG, TOKEN, DaemonProcess, make_config
from support.nginx_origin import NginxOrigin
from support.origin.origin import Origin
from support.origin.scripted_response import ScriptedResponse, error_response
from support.waiting import wait_until

from downloadd.client import ApiError, Client
from downloadd.config import ALL_PERMISSIONS
from downloadd.config.sources import TABLES
from downloadd.download_request import DownloadRequest
from downloadd.fronts.aria2.methods.method_table import METHODS, NAME_LISTS
from downloadd.fronts.rest.routes import build_routes
from downloadd.fronts.rest.schemas import StartQuery
from downloadd.fronts.rocketchat.schemas import RawUploadQuery
from downloadd.imports.list_options import PARSERS


@pytest.fixture
def nginx(tmp_path: Path) -> Iterator[NginxOrigin]:
    with NginxOrigin(tmp_path / "origin") as origin:
        yield origin


@pytest.mark.system
async def test_the_commands_about_metrics_and_the_log_show_them(tmp_path: Path) -> None:
    page = read("docs/how-to/monitoring.md")
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

        async def is_counted() -> bool:
            metrics = await asyncio.to_thread(run, scrape.replace("http://127.0.0.1:8080", daemon.url))
            return 'downloadd_downloads_ended_total{error="INVALID_URL",outcome="failed"} 1.0' in metrics

        # The end is counted and logged after the response.
        await wait_until(is_counted)
        await daemon.wait_for_log("request")
        told = await asyncio.to_thread(run, re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", id, story))
        assert len(told.splitlines()) >= 1
    finally:
        await daemon.kill()


def test_what_aria2_s_words_are_moved_to_is_there() -> None:
    page = read("docs/how-to/from-aria2.md")
    assert len(rows(page)) > 50
    for table, key in re.findall(r"`(aria2|downloads|server|storage)\.(\w+)(?: = [^`]*)?`", page):
        is_setting = key in TABLES[table].__struct_fields__
        assert is_setting or f"{table}.{key}" in {*METHODS, "aria2.conf"}, key
    forms = (StartQuery, RawUploadQuery, DownloadRequest)
    parameters = {field.name for form in forms for field in msgspec.structs.fields(form)}
    for row in [
        *rows(section(page, "Import input files and sessions")),
        *rows(section(page, "Options of the command")),
    ]:
        for name in re.findall(r"`(\w+)=", row[1]):
            assert name in parameters, row
    paths = {(one.method, one.path) for one in build_routes(MagicMock())}
    for method, path in re.findall(r"`(GET|POST|PATCH|DELETE) (/api/[^`?]*)", page):
        assert (method, path) in paths, path


def test_every_method_of_aria2_is_on_the_page_with_its_counterpart() -> None:
    table = rows(section(read("docs/how-to/from-aria2.md"), "Methods"))
    names = [name for row in table for name in re.findall(r"`((?:aria2|system)\.\w+)`", row[0])]
    assert sorted(names) == sorted(NAME_LISTS["system.listMethods"])


def test_every_option_of_a_list_is_on_the_page_of_aria2() -> None:
    text = section(read("docs/how-to/from-aria2.md"), "Import input files and sessions")
    options = {name for row in rows(text) for name in re.findall(r"`([a-z0-9-]+)`", row[0])}
    fields = {"checksum", "dir", "header", "http-passwd", "http-user", "out", "referer", "user-agent"}
    assert options == PARSERS.keys() | fields


@pytest.mark.system
async def test_the_daemon_starts_with_the_aria2_conf_of_the_page(tmp_path: Path, origin: Origin) -> None:
    page = read("docs/how-to/from-aria2.md")
    [conf] = blocks(page, "ini")
    [report] = blocks(page, "text")
    start, import_list = blocks(page, "sh")
    home = tmp_path / "alice"
    (home / ".aria2").mkdir(parents=True)
    (home / ".aria2/aria2.conf").write_text(conf)
    origin.script("/f", ScriptedResponse(size=10))
    (home / "session.txt").write_text(f"{origin.url('/f')}\t\n gid=cec159b43114e620\n max-tries=1\n dir=d\n")
    environment = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(home),
        "DOWNLOADD_SERVER__PORT": "0",
        "DOWNLOADD_ARIA2__PORT": "0",
        "DOWNLOADD_DOWNLOADS__ALLOWED_NETWORKS": "127.0.0.0/8",
        "DOWNLOADD_TOKEN": re.findall("rpc-secret=(.*)", conf)[0],
    }
    daemon = subprocess.Popen(
        ["bash", "-ec", f"exec {start}"], cwd=home, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        address = home / ".local/state/downloadd/address"
        await wait_until(address.exists)
        done = await asyncio.to_thread(
            subprocess.run, ["bash", "-ec", import_list], cwd=home, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
        await wait_until(lambda: [*home.joinpath("Downloads/Imports").rglob("d/f")])
    finally:
        daemon.terminate()
        printed, _ = await asyncio.to_thread(daemon.communicate)
    # The port of the page is taken by the environment here.
    shown = printed.decode().replace(str(home), "/home/alice")
    for line in report.splitlines():
        assert line in shown or "aria2.port" in line, shown


@pytest.mark.system
async def test_a_backup_while_the_daemon_runs_can_be_restored(tmp_path: Path) -> None:
    """Run the commands of backup.md."""
    page = read("docs/how-to/backup.md")
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


@pytest.mark.system
async def test_a_failed_download_continues_by_the_commands_of_the_page(tmp_path: Path, origin: Origin) -> None:
    size, kept = 300_000, 200_000
    cut = ScriptedResponse(size=size, etag='"v"', cut_after=kept)
    page = read("docs/how-to/failed-downloads.md")
    [retry, renew] = blocks(page, "sh")
    first, _, second = renew.rpartition("downloadctl")
    commands = [retry, first, f"downloadctl{second}"]
    async with DaemonProcess(tmp_path) as daemon:
        for number, command in enumerate(commands):
            origin.script(f"/{number}", [cut, error_response(403), ScriptedResponse(size=size, etag='"v"')])
            origin.script("/model.bin", ScriptedResponse(size=size, etag='"v"'))
            id = (await daemon.start_download("d", origin.url(f"/{number}")))["download_id"]
            assert (await daemon.wait_until_finished(id))["kept_bytes"] == kept
            environment = {
                "PATH": os.environ["PATH"],
                "TOKEN": TOKEN,
                "URL": daemon.url.rstrip("/"),
                "ID": id,
                "DOWNLOADD_URL": daemon.url,
                "DOWNLOADD_TOKEN": TOKEN,
            }
            real = command.replace("https://files.example.com", origin.url(""))
            await asyncio.to_thread(subprocess.run, ["sh", "-ec", real], env=environment, check=True)
            assert (await daemon.wait_until_finished(id))["status"] == "completed"
        assert origin.requests("/0")[-1].field("Range") == f"bytes={kept}-"


@pytest.mark.system
async def test_the_commands_about_limits_change_them(tmp_path: Path) -> None:
    commands, holds, requests = blocks(read("docs/how-to/limits.md"), "sh")
    async with DaemonProcess(tmp_path) as daemon:
        environment = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "TOKEN": TOKEN,
            "URL": daemon.url.rstrip("/"),
            "DOWNLOADD_URL": daemon.url,
            "DOWNLOADD_TOKEN": TOKEN,
        }
        for script, expected in (
            (commands, (4, 0, True)),
            *((line, (4, 0, allowed)) for line, allowed in zip(holds.splitlines(), (False, True), strict=True)),
            (requests, (4, 1 << 20, True)),
        ):
            await asyncio.to_thread(subprocess.run, ["sh", "-ec", script], env=environment, check=True)
            settings = (await daemon.request("GET", "/api/v1/settings"))[1]
            assert (settings["max_concurrent"], settings["speed_limit"], settings["allow_starts"]) == expected


def test_the_limits_by_the_hour_are_a_configuration(tmp_path: Path) -> None:
    _, hourly = blocks(read("docs/how-to/limits.md"), "toml")
    assert [limit.allow_starts for limit in load(tmp_path, hourly).limits] == [True, False]


@pytest.mark.system
async def test_the_commands_about_schedules_change_them(tmp_path: Path) -> None:
    page = read("docs/how-to/schedules.md")
    add, requests, changes = blocks(page, "sh")
    [configured] = blocks(page, "toml")
    async with DaemonProcess(tmp_path) as daemon:
        environment = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "TOKEN": TOKEN,
            "URL": daemon.url.rstrip("/"),
            "DOWNLOAD_URL": daemon.url,
            "DOWNLOADD_URL": daemon.url,
            "DOWNLOADD_TOKEN": TOKEN,
        }
        for script, names in ((add, ["prices"]), (requests, ["prices", "rates"])):
            await asyncio.to_thread(subprocess.run, ["sh", "-ec", script], env=environment, check=True)
            found = (await daemon.request("GET", "/api/v1/schedules"))[1]["schedules"]
            assert [one["name"] for one in found] == names
        await asyncio.to_thread(subprocess.run, ["sh", "-ec", changes], env=environment, check=True)
        await daemon.reload(f"{DEFAULT_CONFIG}{configured}")
        prices, rates = (await daemon.request("GET", "/api/v1/schedules"))[1]["schedules"]
        assert (prices["source"], prices["keep"], rates["source"]) == ("configuration", 7, "api")


@pytest.mark.system
async def test_the_commands_about_known_files_receive_nothing(tmp_path: Path, nginx: NginxOrigin) -> None:
    page = read("docs/how-to/known-files.md")
    commands, [reuse] = blocks(page, "sh"), blocks(page, "toml")
    config = DEFAULT_CONFIG.replace("[storage]", reuse)
    image = nginx.www / "image.iso"
    image.write_bytes(b"a" * 300_000)
    (tmp_path / "daemon").mkdir()
    async with DaemonProcess(tmp_path / "daemon", config=config) as daemon:
        environment = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "TOKEN": TOKEN,
            "URL": daemon.url.rstrip("/"),
            "DOWNLOADD_URL": daemon.url,
            "DOWNLOADD_TOKEN": TOKEN,
        }

        async def run(script: str) -> str:
            """Run a script; return its output. Its exit status is 0."""
            real = script.replace("https://files.example.com", nginx.http)
            done = await asyncio.to_thread(
                subprocess.run, ["sh", "-ec", real], env=environment, check=True, capture_output=True, text=True
            )
            return done.stdout + done.stderr

        await run(commands[0])
        assert "already there" in (await run(commands[0])).lower()
        await run(commands[1])

        async def codes() -> list[str | None] | None:
            entries = await daemon.history()
            return [entry["error"] for entry in entries] if len(entries) == 3 else None

        assert await wait_until(codes) == ["ALREADY_THERE", "ALREADY_THERE", None]
        # Another content replaces it, as the second block says.
        image.write_bytes(b"b" * 300_000)
        os.utime(image, (1, 1))
        await run(commands[1])
        await wait_until(lambda: daemon.files() == {"d/image.iso": b"b" * 300_000})
        # To another directory it is copied, after nginx has answered 304.
        _, copied = await daemon.fetch("e", f"{nginx.http}/image.iso")
        entry = await daemon.get_download(copied["download_id"])
        assert (entry["status"], entry["resumed_by"]) == ("completed", "reuse")
        assert daemon.files() == dict.fromkeys(("d/image.iso", "e/image.iso"), b"b" * 300_000)
        # It writes its log after the answer.
        await wait_until(lambda: " 304 " in (nginx.folder / "access.log").read_text())


@pytest.mark.system
async def test_the_commands_about_the_queue_change_it(tmp_path: Path, origin: Origin) -> None:
    move, place, pause = blocks(read("docs/how-to/queue.md"), "sh")
    for path in ("/held", "/first.bin"):
        origin.script(path, ScriptedResponse(size=10, stall_after=1))
    async with DaemonProcess(tmp_path, config=make_config(max_concurrent=1)) as daemon:
        ids = [(await daemon.start_download("d", origin.url("/held")))["download_id"] for _ in range(6)]
        await daemon.wait_for_state(ids[0], "downloading")

        async def run(commands: str) -> None:
            environment = {
                "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
                "TOKEN": TOKEN,
                "URL": daemon.url.rstrip("/"),
                "ID": ids[5],
                "DOWNLOADD_URL": daemon.url,
                "DOWNLOADD_TOKEN": TOKEN,
            }
            real = commands.replace("https://files.example.com", origin.url(""))
            await asyncio.to_thread(subprocess.run, ["sh", "-ec", real], env=environment, check=True)

        async def waiting() -> list[dict[str, Any]]:
            entries = [entry for entry in await daemon.active() if entry["status"] == "queued"]
            return sorted(entries, key=lambda entry: entry["place"])

        first, rest = move.split("\n", 1)
        await run(first)
        assert [entry["id"] for entry in await waiting()] == [ids[5], *ids[1:5]]
        await run(rest)
        assert [entry["id"] for entry in await waiting()] == [*ids[1:4], ids[5], ids[4]]
        await run(place)
        assert (await waiting())[0]["filename"] == "first.bin"
        stop, go_on = pause.splitlines()
        await run(stop)
        assert {entry["status"] for entry in await daemon.active()} == {"paused"}
        await run(go_on)
        assert len(await waiting()) >= 6


@pytest.mark.system
async def test_the_commands_about_logins_send_them(tmp_path: Path, origin: Origin) -> None:
    curl, downloadctl = blocks(read("docs/how-to/origin-logins.md"), "sh")
    for path in ("/report.pdf", "/export"):
        origin.script(path, ScriptedResponse(size=10))
    (tmp_path / "cookies.txt").write_text("a=1\n")
    (tmp_path / "headers.txt").write_text("X-Api-Key: 89\n")
    async with DaemonProcess(tmp_path) as daemon:
        environment = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "TOKEN": TOKEN,
            "URL": daemon.url.rstrip("/"),
            "DOWNLOADD_URL": daemon.url,
            "DOWNLOADD_TOKEN": TOKEN,
        }
        for block in (curl, downloadctl):
            real = block.replace("https://files.example.com", origin.url(""))
            await asyncio.to_thread(subprocess.run, ["sh", "-ec", real], cwd=tmp_path, env=environment, check=True)
        await origin.wait_requested("/report.pdf", times=2)
        await origin.wait_requested("/export")
    names = ("X-Api-Key", "Cookie", "Referer")
    sent = [tuple(request.field(name) for name in names) for request in origin.requests("/report.pdf")]
    assert sorted(sent, key=str) == [
        ("0123", "session=4567", f"{origin.url('')}/list"),
        ("89", "a=1", None),
    ]
    assert origin.requests("/export")[0].body == b"format=csv"


@pytest.mark.system
def test_the_caddyfile_of_the_documentation_is_valid(tmp_path: Path) -> None:
    [text] = blocks(read("docs/how-to/deployment.md"), "caddyfile")
    (tmp_path / "Caddyfile").write_text(text)
    environment = {**os.environ, "HOME": str(tmp_path)}
    command = ["caddy", "validate", "--adapter", "caddyfile", "--config", "Caddyfile"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("language", ["python", "js"])
async def test_the_snippets_run_as_they_stand(tmp_path: Path, nginx: NginxOrigin, language: str) -> None:
    [snippet] = blocks(read("docs/how-to/programs.md"), language)
    (nginx.www / "data.csv").write_bytes(b"a;b\n")
    program = tmp_path / {"python": "snippet.py", "js": "snippet.mjs"}[language]
    program.write_text(snippet)
    async with DaemonProcess(tmp_path) as daemon:
        assert daemon.client is not None
        async with daemon.client.get(f"{daemon.url}/api/v1/page/client.js") as response:
            (tmp_path / "client.js").write_bytes(await response.read())
        arguments = [str(program), daemon.url, TOKEN, f"{nginx.http}/data.csv"]
        interpreter = {"python": sys.executable, "js": "node"}[language]
        done = await asyncio.to_thread(
            subprocess.run, [interpreter, *arguments], capture_output=True, text=True, check=True
        )
    name = "renamed-data.csv" if language == "python" else "data.csv"
    assert done.stdout == f"completed Downloads/{name} 4\n"


def test_every_permission_is_explained() -> None:
    page = read("docs/how-to/users.md")
    assert re.findall(r"^\| `([\w-]+)` \|", page, re.MULTILINE) == list(ALL_PERMISSIONS)


def test_every_file_of_the_service_is_named() -> None:
    page = read("docs/how-to/deployment.md")
    files = [*(TOP / "systemd").iterdir()]
    assert files
    for path in files:
        assert path.name in page, path.name
