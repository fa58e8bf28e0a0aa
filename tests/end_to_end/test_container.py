"""The image of the Containerfile: built without an engine, run as process 1 of a read-only container by any user."""

import json
import os
import signal
import stat
import subprocess
import tomllib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from support.container_image import Image, build, can_build, container_command, parse
from support.machine import not_allowed
from support.origin.origin import Origin
from support.origin.scripted_response import ScriptedResponse
from support.ports import free_port
from support.waiting import CONDITION_TIMEOUT, wait_until

TOP = Path(__file__).parents[2]
CONTAINERFILE = TOP / "docs/container/Containerfile"

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    if not can_build():
        not_allowed("mount an overlay")
    return build(CONTAINERFILE, TOP, tmp_path_factory.mktemp("image"))


class Container:
    """A container whose entry point runs as process 1."""

    def __init__(self, image: Image, folder: Path, **options: Any) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.folder = folder
        self.image = image
        self.environment = {
            "DOWNLOADD_SERVER__PORT": str(self.port),
            "DOWNLOADD_DOWNLOADS__ALLOWED_NETWORKS": "127.0.0.0/8",
            "SSL_CERT_FILE": "/dev/null",
            **options.pop("environment", {}),
        }
        self.command = container_command(image, folder, environment=self.environment, **options)
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def daemon_id(self) -> int:
        """The process id of the daemon outside of the container."""
        assert self.process is not None
        return int(Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()[0])

    def status(self, field: str) -> str:
        lines = Path(f"/proc/{self.daemon_id}/status").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith(f"{field}:"))

    def execute(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the container, as `exec` of an engine does."""
        id, group = (self.status(field).split()[0] for field in ("Uid", "Gid"))
        variables = [f"{key}={value}" for key, value in {**self.image.environment, **self.environment}.items()]
        enter = ["nsenter", "--target", str(self.daemon_id), "--mount", "--pid", "--root", "--wd"]
        ids = ["--setuid", id, "--setgid", group]
        return subprocess.run(
            [*enter, *ids, "env", "-i", *variables, *command], capture_output=True, text=True, check=False
        )


@asynccontextmanager
async def running(container: Container, *arguments: str) -> AsyncIterator[aiohttp.ClientSession]:
    log = container.folder / "log"
    with log.open("wb") as stream:
        command = [*container.command, *container.image.entrypoint, *arguments]
        container.process = subprocess.Popen(command, stdout=stream, stderr=stream)

    async def answers() -> bool:
        assert container.process is not None
        assert container.process.poll() is None, log.read_text()
        try:
            async with session.get(f"{container.url}/api/v1/health") as response:
                return response.status == 200
        except aiohttp.ClientConnectionError:
            return False

    try:
        async with aiohttp.ClientSession() as session:
            await wait_until(answers)
            yield session
    finally:
        # The namespace ends with its process 1.
        container.process.kill()
        container.process.wait(CONDITION_TIMEOUT)


@pytest.mark.parametrize(
    ("options", "ids", "umask"),
    [
        pytest.param({}, (1000, 0), None, id="the user of the image"),
        pytest.param(
            {"user": "987654:0"}, (987654, 0), "0002", id="any user of the group 0", marks=pytest.mark.exhaustive
        ),
        pytest.param({"user": "4321:4322", "ids": "4321:4322"}, (4321, 4322), "0077", id="any user and group"),
    ],
)
async def test_the_daemon_is_process_1_with_a_read_only_root_and_any_user(
    image: Image, tmp_path: Path, options: dict[str, str], ids: tuple[int, int], umask: str | None
) -> None:
    container = Container(image, tmp_path, environment={} if umask is None else {"UMASK": umask}, **options)
    async with running(container, "--allow-download") as session, Origin() as origin:
        assert container.status("NSpid").split()[-1] == "1"
        assert {container.status(field).split()[0] for field in ("Uid", "Gid")} == {str(each) for each in ids}
        assert int(container.status("CapEff"), 16) == 0
        assert "Read-only file system" in container.execute("sh", "-c", "touch /opt/x /x").stderr
        token = container.execute("cat", "/var/lib/downloadd/token").stdout.strip()
        origin.script("/f.bin", ScriptedResponse(size=100_000))
        bearer = {"Authorization": f"Bearer {token}"}
        query = {"download": origin.url("/f.bin"), "wait": "30"}
        async with session.get(f"{container.url}/d", params=query, headers=bearer) as response:
            answer = await response.json()
            assert (response.status, answer["success"]) == (201, True), answer
        stored = (tmp_path / "downloads/d/f.bin").stat()
        assert (stored.st_size, stored.st_uid, stored.st_gid) == (100_000, *ids)
        assert stat.S_IMODE(stored.st_mode) == 0o666 & ~int(umask or "0022", 8)
        # An upload is stored in the state directory.
        upload = {"importerKey": "urls", "fileName": "list.txt"}
        body = origin.url("/f.bin").encode()
        async with session.post(
            f"{container.url}/api/v1/imports", params=upload, data=body, headers=bearer
        ) as response:
            assert response.status == 201, await response.text()
        for command in (("downloadctl", "status"), ("sh", "-c", image.health_check)):
            done = container.execute(*command)
            assert done.returncode == 0, done.stderr
        # Process 1 has no default action for signals: this one is the daemon's own.
        os.kill(container.daemon_id, signal.SIGTERM)
        assert container.process is not None
        await wait_until(lambda: container.process is not None and container.process.poll() is not None)
        assert container.process.returncode == 0


async def test_the_umask_of_the_container_is_that_of_the_daemon(image: Image, tmp_path: Path) -> None:
    container = Container(image, tmp_path, environment={"UMASK": "0077"})
    async with running(container):
        assert container.status("Umask") == "0077"
        # The address of the daemon is found without a token.
        assert container.execute("downloadctl", "health").returncode == 0
        os.kill(container.daemon_id, signal.SIGSTOP)
        try:
            assert container.execute("timeout", "5", "sh", "-c", image.health_check).returncode != 0
        finally:
            os.kill(container.daemon_id, signal.SIGCONT)


def test_the_health_check_fails_without_a_daemon(image: Image, tmp_path: Path) -> None:
    command = [*Container(image, tmp_path).command, "sh", "-c", image.health_check]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "does not answer" in done.stderr or "cannot" in done.stderr, done.stderr


def test_the_example_files_agree_with_the_image() -> None:
    instructions = list(parse(CONTAINERFILE.read_text()))
    volumes = {rest for name, rest in instructions if name == "VOLUME"}
    [port] = [rest for name, rest in instructions if name == "EXPOSE"]
    for name in ("docs/container/compose.yml", "systemd/downloadd.container", "docs/how-to/kubernetes.yml"):
        text = (TOP / name).read_text()
        assert port in text
        assert all(volume in text for volume in volumes), name
    page = (TOP / "docs/how-to/containers.md").read_text()
    assert all(f":{volume}" in page for volume in volumes)
    copied = [rest.split()[:-1] for name, rest in instructions if name == "COPY" and "--from" not in rest]
    assert all((TOP / each).exists() for names in copied for each in names)
    project = tomllib.loads((TOP / "pyproject.toml").read_text())["project"]
    assert {project["readme"], *project["license-files"]} <= {each for names in copied for each in names}
    assert stat.S_IMODE((TOP / "docs/container/entrypoint.sh").stat().st_mode) & 0o444 == 0o444
    assert json.loads(next(rest for name, rest in instructions if name == "ENTRYPOINT")) == [
        "/opt/downloadd/bin/entrypoint"
    ]
