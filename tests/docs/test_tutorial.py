"""The tutorial: the commands of its pages run, and print what the pages show."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from unittest.mock import MagicMock

import msgspec
import pytest
from docs.pages import TOP, blocks, read
from support.nginx_origin import NginxOrigin
from support.ports import free_port
from support.shell import ANSWER_TIMEOUT, Shell

from downloadd.fronts.rest.routes import build_routes

TOUR: Final = read("docs/tutorial/tour.md")
START: Final = read("docs/tutorial/getting-started.md")

ID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
MEANT: Final = {
    *("status", "success", "message", "error", "filename", "path", "file_path", "directory", "url"),
    *("openapi", "attempt", "step"),
}
"""Fields whose values are the same each time."""
TOUR_API: Final = "http://127.0.0.1:8080"
TOUR_ORIGIN: Final = "http://127.0.0.1:8088"
PACKAGE_SIZE: Final = 160 << 20
"""Bytes of each file that stands for a package: under a speed limit it outlasts the tour on a slow machine."""


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One command of the tour, with the output below it."""

    command: str
    printed: str

    @property
    def repeatable(self) -> bool:
        """True if the command only reads."""
        looks = self.command.startswith(("curl ", "ls ", "grep ", "(cd ", "downloadctl list", "downloadctl status"))
        return looks and not re.search(r"download=| -X | --json ", self.command)

    @property
    def runs_on(self) -> bool:
        return self.command.endswith("&")


def steps() -> list[Step]:
    found: list[Step] = []
    for block in blocks(TOUR, "console"):
        for piece in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            lines = piece.splitlines()
            count = next(number for number, line in enumerate(lines, 1) if not line.endswith("\\"))
            # A command that a reader gives after some seconds is repeated until it prints what the page shows.
            command = re.sub(r"^sleep \d; ", "", "\n".join(lines[:count]))
            found.append(Step(command=command, printed="\n".join(lines[count:]).strip()))
    return found


def values_in(text: str) -> Iterator[object]:
    """Yield the JSON that a command printed, or else each line."""
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
    """Yield what the real output lacks or has in excess of the page."""
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
    """Return the lines of an event stream without their JSON."""
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
    """Return a text without what differs between runs: ids, tokens, times, numbers, ports, paths of the machine."""
    if not isinstance(value, str):
        return value
    text = re.sub(r"^(Date|X-Request-Id): .*", r"\1: <differs>", value)
    text = re.sub(r"(?<=ticket=)[\w.-]+", "<secret>", text)
    text = ID.sub("<id>", text)
    text = re.sub(r"(?<=token     )\S+|(?<=user id   )\S+|(?<=X-User-Id: )\w+|(?<=#token=)\S+", "<secret>", text)
    text = re.sub(r"/\S*/(?=\.local/|downloads$)", "<home>/", text)
    text = re.sub(r"\b[0-9a-f]{12,}\b", "<hex>", text)
    text = re.sub(r"127\.0\.0\.1:\d+", "<address>", text)
    text = re.sub(r"\d+(?:[-:.]\d+)*(?:e\+?\d+)?", "<n>", text)
    text = re.sub(r"<n> [KMG]?i?B\b", "<size>", text)
    text = re.sub(r"<n> (?:h|min)(?: <n> (?:min|s))?\b|<n> s\b", "<duration>", text)
    return re.sub(r"\s+", " ", text)


@pytest.fixture
def packages(tmp_path: Path) -> Iterator[NginxOrigin]:
    """Run an nginx that has a file for each package in the tour."""
    folder = tmp_path / "origin"
    with NginxOrigin(folder) as origin:
        for name in set(re.findall(r"[\w.+-]+_[\w.+-]+\.deb", TOUR)):
            with (origin.www / name).open("wb") as file:
                file.truncate(PACKAGE_SIZE)
        yield origin
    shutil.rmtree(folder)


@pytest.mark.system
@pytest.mark.timeout(240)
def test_the_tour_prints_what_the_page_shows(tmp_path: Path, packages: NginxOrigin) -> None:
    """Run each command, and compare its output with the page: same fields, same outcome."""
    home, port = tmp_path / "home", free_port()
    home.mkdir()
    environment = {
        "HOME": str(home),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "LANG": "C.UTF-8",
        "DOWNLOADD_SERVER__PORT": str(port),
        "DOWNLOADD_STORAGE__MIN_FREE": "0",
        # The modules that are used are compiled at their first import.
        "PIP_COMPILE": "0",
    }
    digest = hashlib.sha256(bytes(PACKAGE_SIZE)).hexdigest()
    ids: dict[str, str] = {}
    with Shell(home, environment) as shell:
        for step in steps():
            text = step.command.replace(TOUR_API, f"http://127.0.0.1:{port}").replace(TOUR_ORIGIN, packages.http)
            text = re.sub(r"(?<=checksum=sha-256=)[0-9a-f]{64}", digest, text)
            text = ID.sub(lambda found: ids[found[0]], text)
            lines = len([line for line in step.printed.splitlines() if line.strip()]) if step.runs_on else 0
            deadline = time.monotonic() + ANSWER_TIMEOUT
            while True:
                real = shell.run(text, at_least=lines)
                found = list(differences(step.printed, real))
                if not found or not step.repeatable or time.monotonic() > deadline:
                    break
                time.sleep(0.05)
            if step.repeatable:
                # A reader takes a moment before the next command.
                time.sleep(0.1)
            assert not found, f"$ {step.command}\n{found}\nprinted:\n{step.printed}\nreceived:\n{real}"
            ids.update(zip(ID.findall(step.printed), ID.findall(real), strict=False))
    shutil.rmtree(home)


def test_the_tour_asks_every_endpoint() -> None:
    tour = "\n".join(step.command for step in steps())
    for one in build_routes(MagicMock()):
        if one.selector == "download":
            assert "$api/packages" in tour
        elif one.selector:
            assert f"?{one.selector}=" in tour, one.selector
        else:
            names = "nightly" if one.is_of_schedule else "ann" if one.is_of_user else None
            id = names or rf"(?:{ID.pattern}|\$id)"
            pattern = re.escape(one.path).replace(r"\{id\}", id)
            assert re.search(rf"\$api{pattern}(?![\w/])", tour), one.path


@pytest.mark.system
@pytest.mark.timeout(240)
def test_a_new_user_gets_to_the_first_file(tmp_path: Path) -> None:
    """Run the commands of getting-started.md in order; only the port differs."""
    checkout, home, port = tmp_path / "checkout", tmp_path / "home", free_port()
    home.mkdir()
    shutil.copytree(TOP, checkout, ignore=shutil.ignore_patterns(".*", "tests", "docs", "build", "*.egg-info"))
    [set_up, start] = blocks(START, "sh")
    asks = re.findall(r"^\$ (.+)$", START, re.MULTILINE)
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
            assert "f.bin: completed, 5 B in" in added
            assert "f.bin" in history
            assert token == ""
            health, started, active, past = map(json.loads, answers)
            assert (health["status"], started["message"], active) == ("ok", "Download completed", {"downloads": []})
            assert [row["status"] for row in past["history"]] == ["completed"] * 2
            assert (checkout / "files/f.bin").read_bytes() == b"first"
        finally:
            daemon.terminate()
            daemon.communicate(timeout=20)
