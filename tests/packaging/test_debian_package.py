"""The Debian package: built as for a release, checked by lintian, and its commands run."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from docs.pages import TOP
from support.ports import free_port
from support.waiting import CONDITION_TIMEOUT

from downloadd import __version__

pytestmark = [pytest.mark.system, pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the package; the compression of a release takes a minute."""
    folder = tmp_path_factory.mktemp("debian")
    environment = {
        **os.environ,
        "UV": str(Path(sys.executable).with_name("uv")),
        "DEB_COMPRESSION": "0",
        "SOURCE_DATE_EPOCH": "1764547200",
    }
    done = subprocess.run(
        [TOP / "docs/packaging/build-deb", folder], env=environment, capture_output=True, text=True, errors="replace"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return next(folder.glob("downloadd_*.deb"))


def test_the_package_is_right_in_the_eyes_of_lintian_and_has_all_its_files(package: Path, tmp_path: Path) -> None:
    """Check everything in one test: another worker would build the package again."""
    check_by_lintian(package)
    check_files(package, tmp_path)
    check_metadata(package, tmp_path)


def check_by_lintian(package: Path) -> None:
    done = subprocess.run(["lintian", "--allow-root", "--fail-on", "error", package], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def check_files(package: Path, tmp_path: Path) -> None:
    subprocess.run(["dpkg-deb", "--extract", package, tmp_path / "root"], check=True)
    root = tmp_path / "root"
    for path in (
        *("usr/bin/downloadd", "usr/bin/downloadctl", "etc/downloadd/config.toml"),
        *("lib/systemd/system/downloadd.service", "lib/systemd/system/downloadd.socket"),
        *("usr/lib/sysusers.d/downloadd.conf", "usr/lib/tmpfiles.d/downloadd.conf"),
        *("usr/share/man/man1/downloadctl.1.gz", "usr/share/man/man1/downloadd.1.gz"),
        *("usr/share/bash-completion/completions/downloadctl", "usr/share/zsh/vendor-completions/_downloadctl"),
        *("usr/share/fish/vendor_completions.d/downloadctl.fish", "usr/share/doc/downloadd/sbom.json.gz"),
    ):
        assert (root / path).exists(), path
    unit = (root / "lib/systemd/system/downloadd.service").read_text()
    assert "ExecStart=/usr/bin/downloadd --config /etc/downloadd/config.toml" in unit
    assert str(tmp_path.parent.parent) not in (root / "usr/lib/downloadd/bin/downloadd").read_text()
    [libraries] = (root / "usr/lib/downloadd/lib").glob("python3*/site-packages")
    for module in ("downloadd.__main__", "downloadd.cli.main"):
        setup = f"import sys; sys.path.insert(0, {str(libraries)!r}); sys.argv[1:] = ['--version']"
        code = f"{setup}; from {module} import main; main()"
        # The interpreter of the environment is a link that leads out of this directory.
        shown = subprocess.run(
            ["/usr/bin/python3", "-I", "-c", code], capture_output=True, text=True, check=True
        ).stdout
        assert shown.strip().endswith(__version__)
    unpacked = subprocess.run(
        ["gzip", "-dc", root / "usr/share/doc/downloadd/sbom.json.gz"], capture_output=True, check=True
    ).stdout
    bill = json.loads(unpacked)
    assert (bill["bomFormat"], bill["metadata"]["component"]["version"]) == ("CycloneDX", __version__)
    assert {"aiohttp", "msgspec", "asyncpg"} <= {component["name"] for component in bill["components"]}


def check_metadata(package: Path, tmp_path: Path) -> None:
    fields = subprocess.run(
        ["dpkg-deb", "--field", package, "Version", "Depends"], capture_output=True, text=True, check=True
    ).stdout
    assert f"Version: {__version__}\n" in fields
    assert "libc6" in fields
    assert "python3 (>= 3." in fields
    subprocess.run(["dpkg-deb", "--control", package, tmp_path / "control"], check=True)
    script = (tmp_path / "control/postinst").read_text()
    order = [script.index(part) for part in ("systemd-sysusers", "systemd-tmpfiles", "deb-systemd-invoke")]
    assert order == sorted(order)
    assert (tmp_path / "control/conffiles").read_text() == "/etc/downloadd/config.toml\n"


@pytest.mark.exhaustive
@pytest.mark.timeout(1200)
def test_the_daemon_starts_in_a_fresh_system_as_the_service_starts_it(package: Path, tmp_path: Path) -> None:
    root, port = tmp_path / "system", free_port()
    bootstrap: list[str | Path] = [
        "mmdebstrap",
        "--variant=apt",
        "--include=python3,systemd,ca-certificates,procps,libstdc++6",
        "bookworm",
        root,
    ]
    subprocess.run(bootstrap, check=True)
    shutil.copy(package, root / "downloadd.deb")
    (root / "usr/sbin/policy-rc.d").write_text("#!/bin/sh\nexit 101\n")
    (root / "usr/sbin/policy-rc.d").chmod(0o755)
    subprocess.run(["mount", "-t", "proc", "proc", root / "proc"], check=True)
    try:
        subprocess.run(["chroot", root, "apt-get", "install", "-y", "/downloadd.deb"], check=True)
        check_service(root, port)
    finally:
        subprocess.run(["umount", root / "proc"], check=True)


def check_service(root: Path, port: int) -> None:
    """Start the command of the unit as its user, in the directories that systemd would prepare."""
    subprocess.run(["chroot", root, "systemd-analyze", "verify", "downloadd.service"], check=True)
    enabled = subprocess.run(["chroot", root, "systemctl", "is-enabled", "downloadd.service"], stdout=subprocess.PIPE)
    assert enabled.stdout == b"enabled\n"
    unit = (root / "lib/systemd/system/downloadd.service").read_text()
    [command] = re.findall(r"^ExecStart=(.*)$", unit, re.MULTILINE)
    environment = {
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        "STATE_DIRECTORY": "/var/lib/downloadd",
        "DOWNLOADD_SERVER__PORT": str(port),
    }
    shell = f"cd /var/lib/downloadd && umask 0027 && exec {command}"
    daemon = subprocess.Popen(
        ["chroot", "--userspec=downloadd:downloadd", root, "/bin/sh", "-c", shell], env=environment
    )
    try:
        deadline = time.monotonic() + CONDITION_TIMEOUT
        health: list[str | Path] = ["chroot", "--userspec=downloadd:downloadd", root, "/usr/bin/downloadctl", "health"]
        while subprocess.run(health, env=environment, capture_output=True).returncode != 0:
            assert daemon.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.2)
        assert (root / "var/lib/downloadd/token").stat().st_mode & 0o777 == 0o600
    finally:
        daemon.terminate()
        assert daemon.wait(CONDITION_TIMEOUT) == 0
