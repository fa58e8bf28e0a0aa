"""The README says what is so: its tables are those of the code, and its tour can be walked."""

import asyncio
import hashlib
import inspect
import json
import os
import queue
import re
import shutil
import subprocess
import sys
import threading
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self
from unittest.mock import MagicMock

import click
import msgspec
import pytest
from daemon_process import TOKEN, DaemonProcess
from nginx_origin import NginxOrigin, free_port

from downloadd.api.bodies import DirectoryListingQuery, HistoryQuery, StartQuery
from downloadd.api.routes import routes
from downloadd.config import (
    ALL_PERMISSIONS,
    CredentialConfig,
    DirectoryConfig,
    DownloadsConfig,
    HookConfig,
    ImportsConfig,
    ServerConfig,
    StorageConfig,
    UserConfig,
)
from downloadd.daemon.main import command
from downloadd.errors import ERRORS, ErrorInfo
from downloadd.sizes import parse_size
from downloadd.states import TRANSITIONS, Event, State

PROJECT: Final = Path(__file__).parents[1]
README: Final = (PROJECT / "README.md").read_text(encoding="utf-8")

RUN: Final = "pip install . && downloadd --allow-download"
TEST: Final = "pip install '.[test]' && pytest"

TABLES: Final[dict[str, type[msgspec.Struct]]] = {
    "server": ServerConfig,
    "storage": StorageConfig,
    "downloads": DownloadsConfig,
    "imports": ImportsConfig,
}
LISTS: Final[dict[str, type[msgspec.Struct]]] = {
    "credentials": CredentialConfig,
    "users": UserConfig,
    "directories": DirectoryConfig,
    "hooks": HookConfig,
}


def section(title: str) -> str:
    """What stands below a heading, up to the next one of its level or above."""
    found = re.search(rf"^(#+) {re.escape(title)}$", README, re.MULTILINE)
    assert found is not None, f"the README has no section {title!r}"
    rest = README[found.end() :]
    end = re.search(rf"^#{{1,{len(found[1])}}} ", outside_blocks(rest), re.MULTILINE)
    return rest[: end.start()] if end else rest


def outside_blocks(text: str) -> str:
    """The text with code blocks blanked, so that their comments are no headings."""
    return re.sub(r"^```.*?^```$", lambda found: re.sub(r"[^\n]", " ", found[0]), text, flags=re.MULTILINE | re.DOTALL)


def rows(title: str) -> list[list[str]]:
    """The cells of every table in a section, without the heads."""
    lines = [line for line in outside_blocks(section(title)).splitlines() if line.startswith("|")]
    rulers = [number for number, line in enumerate(lines) if set(line) <= set("|- ")]
    heads = {number - 1 for number in rulers} | set(rulers)
    return [
        [cell.strip().replace(r"\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        for number, line in enumerate(lines)
        if number not in heads
    ]


def first_words(title: str) -> list[str]:
    """The code in the first cell of each row."""
    return [row[0].strip("`") for row in rows(title)]


# -- the two commands --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("line", [RUN, TEST], ids=["run", "test"])
def test_each_of_the_two_commands_is_a_line_of_its_own_near_the_top(line: str) -> None:
    assert line in README.splitlines()[:30]


def test_ci_runs_the_test_command_of_the_readme() -> None:
    # It may tell pip to be quiet, and nothing else.
    said = (PROJECT / ".ci/run").read_text(encoding="utf-8").replace("pip install --quiet", "pip install")
    assert TEST in said.splitlines()


# -- the tables --------------------------------------------------------------------------------------------------------


def test_the_error_table_is_that_of_the_code_row_by_row() -> None:
    def row(info: ErrorInfo) -> list[str]:
        return [f"`{info.code}`", str(info.status), info.description, info.resolution]

    assert rows("Error codes") == [row(info) for info in ERRORS.values()]


def test_the_table_of_endpoints_is_that_of_the_code_row_by_row() -> None:
    def shown(method: str, path: str, selector: str) -> str:
        return f"`{method} {path}?{selector}=`" if selector else f"`{method} {path}`"

    # The handlers do not matter here.
    table = routes(MagicMock())
    assert [row[0] for row in rows("Endpoints")] == [shown(one.method, one.path, one.selector) for one in table]
    wanted = [str(getattr(one.access, "value", "")) for one in table]
    said = [row[1] for row in rows("Endpoints")]
    for permission, cell in zip(wanted, said, strict=True):
        assert (f"`{permission}`" in cell) == (permission in ALL_PERMISSIONS), (permission, cell)


def test_the_table_of_parameters_is_that_of_a_start() -> None:
    assert first_words("Parameters of a start") == list(StartQuery.__struct_fields__)


@pytest.mark.parametrize("query", [HistoryQuery, DirectoryListingQuery])
def test_every_parameter_of_a_listing_is_named(query: type[msgspec.Struct]) -> None:
    text = section("Listings and history")
    for name in query.__struct_fields__:
        assert re.search(rf"`\??{name}\b", text), name


def test_the_table_of_settings_has_every_key_with_its_default() -> None:
    said = {row[0].strip("`"): tomllib.loads(f"value = {row[1].strip('`')}")["value"] for row in rows("Settings")}
    real = {f"{table}.{key}": default for table, of in TABLES.items() for key, default in defaults(of).items()}
    assert list(said) == list(real)
    for key, default in real.items():
        value = said[key]
        assert value == default or (isinstance(value, str) and parse_size(value) == default), key


def defaults(of: type[msgspec.Struct]) -> dict[str, Any]:
    return {
        name: list(value) if isinstance(value, tuple) else value for name, value in msgspec.structs.asdict(of()).items()
    }


@pytest.mark.parametrize("name", LISTS)
def test_every_key_of_a_list_of_tables_stands_in_an_example(name: str) -> None:
    examples = [tomllib.loads(block) for block in blocks("toml")]
    keys = {key for example in examples for table in example.get(name, []) for key in table}
    assert keys == set(LISTS[name].__struct_fields__)


def test_every_flag_stands_beside_its_setting_or_in_the_list_of_the_others() -> None:
    assert isinstance(command, click.Command)
    flags = {option for parameter in command.params for option in parameter.opts if option.startswith("--")} | {
        "--help"
    }
    text = section("Configuration")
    assert set(re.findall(r"`(--[a-z-]+)", text)) == flags


def test_every_permission_is_explained() -> None:
    assert first_words("Users and permissions") == list(ALL_PERMISSIONS)


def test_the_table_of_states_is_that_of_the_code() -> None:
    said = {
        (State(row[0].strip("`")), Event(event)): State(after)
        for row in rows("States")
        for event, after in re.findall(r"(\w+) → `(\w+)`", row[1])
    }
    assert said == TRANSITIONS
    arrows = sum(row[1].count("→") for row in rows("States"))
    assert arrows == len(TRANSITIONS), "an arrow was not understood, or stands twice"


def test_every_event_of_the_states_is_explained() -> None:
    explained = re.findall(r"^- \*\*(\w+)\*\*", section("States"), re.MULTILINE)
    assert explained == [event.value for event in Event]


def test_the_map_of_the_folders_names_every_folder_of_the_package() -> None:
    package = Path(inspect.getfile(command.callback or command)).parents[1]
    rooms = {path.name for path in package.iterdir() if path.is_dir() and (path / "__init__.py").exists()}
    assert {name.strip("`").rstrip("/").removeprefix("downloadd/") for name in first_words("Where things are")} >= rooms


@pytest.mark.parametrize("path", sorted(set(re.findall(r"\]\((?!https?:|#)([^)#]+)", README))))
def test_every_link_to_a_file_leads_somewhere(path: str) -> None:
    assert (PROJECT / path).exists()


def test_every_file_of_the_service_and_every_benchmark_is_named() -> None:
    for path in [*(PROJECT / "systemd").iterdir(), *(PROJECT / "tests/benchmarks").glob("bench_*.py")]:
        assert path.name in README, path.name


# -- the tour ----------------------------------------------------------------------------------------------------------

PROMPT: Final = "$ "
PATIENCE: Final = 20.0
"""Seconds until an answer must look as it is printed."""
ID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
MEANT: Final = {
    *("status", "success", "message", "error", "filename", "path", "file_path", "directory", "url"),
    *("openapi", "attempt"),
}
"""Fields whose values are the same each time."""
TOUR_API: Final = "http://127.0.0.1:8080"
TOUR_ORIGIN: Final = "http://127.0.0.1:8088"
PACKAGE_SIZE: Final = 40 << 20
"""Bytes of each file that stands for a package: enough to be watched under a speed limit."""


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One command of the tour, with what the README prints below it."""

    command: str
    printed: str

    @property
    def repeatable(self) -> bool:
        """Whether it only looks."""
        looks = self.command.startswith(("curl ", "ls ", "grep ", "downloadctl list", "downloadctl status"))
        return looks and not re.search(r"download=| -X | --json ", self.command)

    @property
    def runs_on(self) -> bool:
        return self.command.endswith("&")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def steps() -> list[Step]:
    found: list[Step] = []
    for block in blocks("console"):
        for piece in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            lines = piece.splitlines()
            count = next(number for number, line in enumerate(lines, 1) if not line.endswith("\\"))
            found.append(Step(command="\n".join(lines[:count]), printed="\n".join(lines[count:]).strip()))
    return found


class Shell:
    """A shell that runs one command after the other and tells what each printed."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            ["bash"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=folder,
            env=environment,
        )
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self._count = 0

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)

    def run(self, command: str, *, at_least: int = 0) -> str:
        """What the command prints; waits for so many lines of one that runs on in the background."""
        self._count += 1
        mark = f"--- {self._count} is done ---"
        assert self._process.stdin is not None
        self._process.stdin.write(f"{command}\nprintf '\\n%s\\n' '{mark}'\n")
        self._process.stdin.flush()
        printed: list[str] = []
        marked = False
        while not marked or len([line for line in printed if line.strip()]) < at_least:
            line = self._lines.get(timeout=PATIENCE)
            if line.strip() == mark:
                marked = True
            else:
                printed.append(line)
        return "".join(printed).strip()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        # What runs in the background is this shell's, and ends with it.
        with self._process.stdin as stdin:
            stdin.write("kill -9 $(jobs -p); wait\n")
        self._process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        assert self._process.stdout is not None
        self._process.stdout.close()


def values_in(text: str) -> Iterator[object]:
    """The JSON in what a command printed, and every other line."""
    try:
        yield json.loads(text)
    except ValueError:
        for line in text.splitlines():
            try:
                yield json.loads(line)
            except ValueError:
                if line.strip():
                    yield line.strip()


def differences(printed: str, real: str, place: str = "") -> Iterator[str]:
    """What a reader of the README would miss in the real output, or not expect there."""
    if printed.startswith("retry:"):
        # How many events come in a moment is chance; of which kinds they are is not.
        missing = kinds_of_lines(printed) - kinds_of_lines(real)
        if missing:
            yield f"events: {missing} printed, and not received"
        return
    expected, found = list(values_in(printed)), list(values_in(real))
    if len(expected) != len(found):
        yield f"{len(expected)} values or lines printed, {len(found)} received"
        return
    for one, other in zip(expected, found, strict=True):
        yield from differing(one, other, place)


def kinds_of_lines(stream: str) -> set[str]:
    """The lines of an event stream without their JSON."""
    return {line.partition("{")[0] for line in re.findall(r"^(?:event|data): .*", stream, re.MULTILINE)}


def differing(printed: object, real: object, place: str) -> Iterator[str]:
    if isinstance(printed, dict) and isinstance(real, dict):
        if list(printed) != list(real):
            yield f"{place}: keys {list(printed)} printed, {list(real)} received"
            return
        for key, value in printed.items():
            if key in MEANT and not isinstance(value, dict | list):
                if masked(value) != masked(real[key]):
                    yield f"{place}.{key}: {value!r} printed, {real[key]!r} received"
            else:
                yield from differing(value, real[key], f"{place}.{key}")
    elif isinstance(printed, list) and isinstance(real, list):
        if len(printed) != len(real):
            yield f"{place}: {len(printed)} entries printed, {len(real)} received"
            return
        for number, (one, other) in enumerate(zip(printed, real, strict=True)):
            yield from differing(one, other, f"{place}[{number}]")
    elif isinstance(printed, str) and isinstance(real, str):
        if not place and masked(printed) != masked(real):
            yield f"{printed!r} printed, {real!r} received"
    elif isinstance(printed, int | float | None) and isinstance(real, int | float | None):
        # A line of an HTTP status alone; or figures, which differ, as does whether they are known already.
        if not place and printed != real:
            yield f"{printed} printed, {real} received"
    else:
        yield f"{place}: {printed!r} printed, {real!r} received"


def masked(value: object) -> object:
    """A text without what differs from run to run: ids, tokens, times, numbers, ports, paths of the machine."""
    if not isinstance(value, str):
        return value
    text = re.sub(r"^(Date|X-Request-Id): .*", r"\1: <differs>", value)
    text = ID.sub("<id>", text)
    text = re.sub(r"(?<=token     )\S+|(?<=user id   )\S+|(?<=X-User-Id: )\w+|(?<=#token=)\S+", "<secret>", text)
    text = re.sub(r"/\S*/(?=\.local/)", "<home>/", text)
    text = re.sub(r"\b[0-9a-f]{12,}\b", "<hex>", text)
    text = re.sub(r"127\.0\.0\.1:\d+", "<address>", text)
    text = re.sub(r"\d+(?:[-:.]\d+)*(?:e\+?\d+)?", "<n>", text)
    text = re.sub(r"<n> [KMG]?i?B\b", "<size>", text)
    return re.sub(r"\s+", " ", text)


@pytest.fixture
def packages(tmp_path: Path) -> Iterator[NginxOrigin]:
    """An nginx with a file for each package that the tour names."""
    folder = tmp_path / "origin"
    with NginxOrigin(folder) as origin:
        for name in set(re.findall(r"[\w.+-]+_[\w.+-]+\.deb", README)):
            with (origin.www / name).open("wb") as file:
                file.truncate(PACKAGE_SIZE)
        yield origin
    shutil.rmtree(folder)


@pytest.mark.timeout(180)
def test_the_tour_can_be_walked_from_its_first_command_to_its_last(tmp_path: Path, packages: NginxOrigin) -> None:
    """Each command runs, and prints what the README prints below it: same fields, same outcome."""
    home, port = tmp_path / "home", free_port()
    home.mkdir()
    environment = {
        "HOME": str(home),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "LANG": "C.UTF-8",
        "DOWNLOADD_SERVER__PORT": str(port),
        "DOWNLOADD_STORAGE__MIN_FREE": "0",
    }
    digest = hashlib.sha256(bytes(PACKAGE_SIZE)).hexdigest()
    ids: dict[str, str] = {}
    with Shell(home, environment) as shell:
        for step in steps():
            text = step.command.replace(TOUR_API, f"http://127.0.0.1:{port}").replace(TOUR_ORIGIN, packages.http)
            text = re.sub(r"(?<=checksum=sha-256=)[0-9a-f]{64}", digest, text)
            text = ID.sub(lambda found: ids[found[0]], text)
            lines = len([line for line in step.printed.splitlines() if line.strip()]) if step.runs_on else 0
            deadline = time.monotonic() + PATIENCE
            while True:
                real = shell.run(text, at_least=lines)
                found = list(differences(step.printed, real))
                if not found or not step.repeatable or time.monotonic() > deadline:
                    break
                time.sleep(0.05)
            if step.repeatable:
                # Whoever reads what was printed takes a moment before the next command.
                time.sleep(0.1)
            assert not found, f"$ {step.command}\n{found}\nprinted:\n{step.printed}\nreceived:\n{real}"
            ids.update(zip(ID.findall(step.printed), ID.findall(real), strict=False))
    shutil.rmtree(home)


def test_the_tour_asks_every_endpoint() -> None:
    tour = "\n".join(step.command for step in steps())
    for one in routes(MagicMock()):
        if one.selector == "download":
            assert "$api/packages" in tour
        elif one.selector:
            assert f"?{one.selector}=" in tour, one.selector
        else:
            pattern = re.escape(one.path).replace(r"\{id\}", rf"(?:{ID.pattern}|\$id)")
            assert re.search(rf"\$api{pattern}(?![\w/])", tour), one.path


# -- programs ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", ["python", "js"])
async def test_the_snippets_run_as_they_stand(tmp_path: Path, packages: NginxOrigin, language: str) -> None:
    [snippet] = blocks(language)
    (packages.www / "data.csv").write_bytes(b"a;b\n")
    program = tmp_path / {"python": "snippet.py", "js": "snippet.mjs"}[language]
    program.write_text(snippet)
    async with DaemonProcess(tmp_path) as daemon:
        assert daemon.client is not None
        async with daemon.client.get(f"{daemon.url}/api/v1/page/client.js") as response:
            (tmp_path / "client.js").write_bytes(await response.read())
        arguments = [str(program), daemon.url, TOKEN, f"{packages.http}/data.csv"]
        interpreter = {"python": sys.executable, "js": "node"}[language]
        done = await asyncio.to_thread(
            subprocess.run, [interpreter, *arguments], capture_output=True, text=True, check=True
        )
    name = "renamed-data.csv" if language == "python" else "data.csv"
    assert done.stdout == f"completed Downloads/{name} 4\n"


def test_the_first_commands_fetch_a_file(tmp_path: Path, packages: NginxOrigin) -> None:
    """Those below the two that set everything up, as they stand there but for the port and the file that is fetched."""
    first = next(block for block in blocks("sh") if "downloadctl add" in block)
    (packages.www / "rfc9110.txt").write_bytes(b"HTTP Semantics")
    home, port = tmp_path / "home", free_port()
    home.mkdir()
    environment = {
        "HOME": str(home),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "DOWNLOADD_SERVER__PORT": str(port),
        "DOWNLOADD_DOWNLOADS__ALLOWED_NETWORKS": '["127.0.0.0/8"]',
        "DOWNLOADD_STORAGE__MIN_FREE": "0",
    }
    real = first.replace(TOUR_API, f"http://127.0.0.1:{port}").replace("https://www.rfc-editor.org/rfc", packages.http)
    with Shell(home, environment) as shell:
        shell.run("downloadd --allow-download 2>/dev/null &", at_least=10)
        assert '"message":"Download completed"' in shell.run(real)
    files = sorted(path.name for path in (home / "downloads/Downloads").iterdir())
    assert files == ["rfc9110 (1).txt", "rfc9110.txt"]
