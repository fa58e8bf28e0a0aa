import re
import subprocess
from pathlib import Path

import pytest

UNITS = Path(__file__).parent.parent.parent / "systemd"


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """Return a folder with the units, whose program exists here."""
    for name in ("downloadd.service", "downloadd.socket"):
        text = (UNITS / name).read_text()
        (tmp_path / name).write_text(re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", text, flags=re.MULTILINE))
    return tmp_path


@pytest.mark.system
@pytest.mark.parametrize("name", ["downloadd.service", "downloadd.socket"])
def test_the_units_are_valid(units: Path, name: str) -> None:
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(units / name)], capture_output=True, text=True, check=False
    )
    # Units of the machine may have faults of their own.
    assert [line for line in done.stderr.splitlines() if "downloadd" in line] == []
    assert done.returncode == 0, done.stderr


@pytest.mark.system
def test_the_sandbox_is_tight(units: Path) -> None:
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=20", str(units / "downloadd.service")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = re.search(r"Overall exposure level for downloadd\.service: ([0-9.]+)", done.stdout)
    assert found is not None
    assert float(found[1]) <= 2.0


@pytest.mark.system
def test_the_user_and_the_directories_are_made(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "etc").mkdir(parents=True)
    users = ["systemd-sysusers", f"--root={root}", str(UNITS / "downloadd.sysusers.conf")]
    subprocess.run(users, check=True, capture_output=True)
    assert "\ndownloadd:" in "\n" + (root / "etc/passwd").read_text()
    directories = ["systemd-tmpfiles", "--create", f"--root={root}", str(UNITS / "downloadd.tmpfiles.conf")]
    done = subprocess.run(directories, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for name in ("etc/downloadd", "var/lib/downloadd/downloads"):
        assert (root / name).is_dir()


@pytest.mark.system
def test_the_commands_that_install_the_service_do_so(tmp_path: Path) -> None:
    """Run the commands of the page below a root of their own, because no systemd runs here."""
    page = (UNITS.parent / "docs/how-to/deployment.md").read_text()
    [block] = re.findall(r"^```sh\n(sudo python3.*?)^```$", page, re.MULTILINE | re.DOTALL)
    root = tmp_path / "root"
    for folder in ("etc/systemd/system", "var/lib/downloadd", "opt/downloadd/bin"):
        (root / folder).mkdir(parents=True)
    (root / "var/lib/downloadd/token").write_text("secret\n")
    # The test of getting-started.md runs the same two commands.
    _, _, commands = block.partition("\n")
    commands = re.sub(r" (/(?:etc|var|opt)/)", rf" {root}\1", commands.replace("sudo ", ""))
    for tool in ("systemd-sysusers", "systemd-tmpfiles", "systemctl"):
        commands = commands.replace(f"{tool} ", f"{tool} --root={root} ")
    commands = commands.replace(f"systemctl --root={root} daemon-reload && ", "").replace("enable --now", "enable")
    done = subprocess.run(
        ["bash", "-ec", commands], cwd=UNITS.parent, capture_output=True, text=True, check=False, timeout=30
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("secret\n")
    assert "\nenabled = true " in (root / "etc/downloadd/config.toml").read_text()
    assert (root / "var/lib/downloadd/downloads").is_dir()
    wanted = root / "etc/systemd/system"
    assert (wanted / "sockets.target.wants/downloadd.socket").is_symlink()
    assert (wanted / "multi-user.target.wants/downloadd.service").is_symlink()


def value(name: str, key: str) -> str:
    found = re.findall(rf"^{key}=(.*)$", (UNITS / name).read_text(), re.MULTILINE)
    assert len(found) == 1, key
    return str(found[0])


def test_the_service_speaks_the_protocol_of_the_daemon() -> None:
    service = "downloadd.service"
    assert value(service, "Type") == "notify"
    assert value(service, "User") == "downloadd"
    assert value(service, "StateDirectory") == "downloadd"
    assert value(service, "ExecReload") == "/bin/kill -HUP $MAINPID"
    assert value(service, "RestartPreventExitStatus") == "2"
    assert float(value(service, "WatchdogSec")) > 0
    # Longer than the daemon takes, so that it is never killed on its way out.
    assert float(value(service, "TimeoutStopSec")) > 10


def test_the_socket_listens_where_the_daemon_would() -> None:
    assert value("downloadd.socket", "ListenStream") == "127.0.0.1:8080"
