"""The README: its commands run, and it stays short."""

import os
import re
import struct
import sys
from pathlib import Path
from typing import Final

import pytest
from docs.pages import TOP, blocks, read, section
from support.machine import MUST_RUN_VARIABLE
from support.nginx_origin import NginxOrigin
from support.ports import free_port
from support.shell import Shell

README: Final = read("README.md")
CI: Final = read(".ci/run").replace("pip install --quiet", "pip install")
RUN: Final = "python3 -m venv .venv && . .venv/bin/activate && pip install . && downloadd --allow-download"
TEST: Final = "pip install '.[test]' && pytest"
MAX_LINES: Final = 200
MAX_PICTURE_BYTES: Final = 150_000


def test_it_is_short() -> None:
    assert len(README.splitlines()) <= MAX_LINES


@pytest.mark.parametrize("line", [RUN, TEST], ids=["run", "test"])
def test_each_of_the_two_commands_is_a_line_of_its_own_near_the_top(line: str) -> None:
    assert line in README.splitlines()[:40]


def test_ci_runs_the_test_command_of_the_readme() -> None:
    assert TEST in CI.splitlines()


def test_ci_checks_types_beside_the_installation_and_waits_for_them_before_the_tests() -> None:
    lines = CI.splitlines()
    order = ["ruff check", "ruff format --check", "mypy --strict &", 'wait "$types"', TEST]
    assert [line for line in lines if line in order] == order
    assert "set -euo pipefail" in lines


def test_in_ci_no_test_is_skipped_for_a_right_that_the_machine_refuses() -> None:
    assert f"export {MUST_RUN_VARIABLE}=1" in CI.splitlines()


def test_ci_installs_what_contributors_install() -> None:
    [command] = blocks(section(read("docs/contributing.md"), "Set up"), "sh")
    assert command.splitlines()[0] == "python3 -m venv .venv"
    assert "'.[dev]'" in command
    assert "'.[dev]'" in CI


def test_ci_installs_the_system_packages_that_the_readme_names() -> None:
    [readme] = re.findall(r"`apt install ([^`]+)`", README)
    [ci] = re.findall(r"^packages=\((.*)\)$", CI, re.MULTILINE)
    assert set(readme.split()) == {*ci.split(), "npm"}


def test_the_picture_is_a_small_png() -> None:
    [name] = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", README)
    data = (TOP / name).read_bytes()
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    assert len(data) <= MAX_PICTURE_BYTES
    width, height = struct.unpack(">II", data[16:24])
    assert width >= 1000
    assert height >= 500


@pytest.mark.system
@pytest.mark.timeout(240)
def test_the_commands_of_the_readme_run(tmp_path: Path) -> None:
    """Run the commands and recipes in order; only port, origin and the path of the hook's file differ."""
    home, port = tmp_path / "home", free_port()
    home.mkdir()
    done = tmp_path / "completed.txt"
    done.touch()
    [hooks] = blocks(README, "toml")
    (home / "hooks.toml").write_text(hooks.replace("/tmp/completed.txt", str(done)))
    environment = {
        "HOME": str(home),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "LANG": "C.UTF-8",
        "DOWNLOADD_SERVER__PORT": str(port),
        "DOWNLOADD_DOWNLOADS__ALLOWED_NETWORKS": '["127.0.0.0/8"]',
        "DOWNLOADD_STORAGE__MIN_FREE": "0",
    }
    [add] = [block for block in blocks(README, "sh") if block.startswith("downloadctl add")]
    [fetch] = [block for block in blocks(README, "sh") if block.startswith("curl")]
    [export] = [block for block in blocks(README, "sh") if block.startswith("downloadctl import")]
    assert export in read("docs/how-to/imports.md")
    with NginxOrigin(tmp_path / "origin") as origin, Shell(home, environment) as shell:
        for name in ("rfc9110.txt", "rfc9112.txt", "F1.txt"):
            (origin.www / name).write_text(name)

        def run(command: str) -> str:
            real = command.replace("http://127.0.0.1:8080", f"http://127.0.0.1:{port}")
            return shell.run(real.replace("https://www.rfc-editor.org/rfc", origin.http))

        greeting = shell.run("downloadd --allow-download --config hooks.toml 2>/dev/null &", at_least=10)
        assert f"http://127.0.0.1:{port}/#token=" in greeting
        assert "rfc9110.txt: completed" in run(add)
        assert '"message":"Download completed"' in run(fetch)
        run(
            "mkdir -p export/general; echo '[]' > export/users.json;"
            ' echo \'[{"id": "C1", "name": "general"}]\' > export/channels.json;'
            ' echo \'[{"user": "U1", "ts": "1.5", "files": [{"id": "F1", "name": "f.txt", "url_private_download": '
            f'"{origin.http}/F1.txt"}}]}}]\' > export/general/2018-07-16.json;'
            " (cd export && python3 -m zipfile -c ../export.zip users.json channels.json general)"
        )
        assert "1 of 1 files completed" in run(export)
        # The hooks run after the downloads have finished.
        expected = {"papers/rfc9112.txt", "downloads/rfc9110.txt", "general/F1-f.txt"}
        run(f'until [ "$(wc -l < {done})" -ge 3 ]; do sleep 0.05; done')
        paths = done.read_text().splitlines()
        assert all(any(path.endswith(end) for path in paths) for end in expected)
        assert all(Path(path).is_file() for path in paths)
