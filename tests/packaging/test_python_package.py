"""Source distribution and wheel: complete, the same for each build, with one version."""

import hashlib
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import msgspec
import pytest
from docs.pages import TOP, read

from downloadd import __version__

pytestmark = pytest.mark.system
EPOCH = "1764547200"


class Built(msgspec.Struct, frozen=True):
    """The two files of a build."""

    sdist: Path
    wheel: Path


def build(folder: Path) -> Built:
    """Build the source distribution, and the wheel from it, as for a release."""
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(TOP)]
    done = subprocess.run(
        command, capture_output=True, text=True, env={"SOURCE_DATE_EPOCH": EPOCH, "PATH": "/usr/bin:/bin"}
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return Built(next(folder.glob("*.tar.gz")), next(folder.glob("*.whl")))


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    return build(tmp_path_factory.mktemp("first"))


def test_two_builds_are_the_same(built: Built, tmp_path: Path) -> None:
    again = build(tmp_path)
    for one, other in ((built.sdist, again.sdist), (built.wheel, again.wheel)):
        assert one.name == other.name
        assert hashlib.sha256(one.read_bytes()).digest() == hashlib.sha256(other.read_bytes()).digest(), one.name


def test_the_source_distribution_has_the_whole_checkout(built: Built) -> None:
    with tarfile.open(built.sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    listed = subprocess.run(["git", "ls-files"], cwd=TOP, capture_output=True, text=True)
    expected = set(listed.stdout.splitlines()) or {"README.md", ".ci/run", "docs/man/downloadctl.1"}
    assert expected <= names
    assert {name for name in names if "__pycache__" in name} == set()


def test_the_wheel_has_manual_pages_completion_and_files_of_the_page(built: Built) -> None:
    with zipfile.ZipFile(built.wheel) as archive:
        names = set(archive.namelist())
        [metadata] = [archive.read(name).decode() for name in names if name.endswith(".dist-info/METADATA")]
    data = f"downloadd-{__version__}.data/data/share"
    assert {
        f"{data}/man/man1/downloadctl.1",
        f"{data}/man/man1/downloadd.1",
        f"{data}/bash-completion/completions/downloadctl",
        f"{data}/zsh/site-functions/_downloadctl",
        f"{data}/fish/vendor_completions.d/downloadctl.fish",
        "downloadd/fronts/page/static/index.html",
        "downloadd/py.typed",
    } <= names
    assert f"\nVersion: {__version__}\n" in metadata
    package = {f"downloadd/{each.relative_to(TOP / 'downloadd')}" for each in (TOP / "downloadd").rglob("*.py")}
    assert package <= names
    assert not [name for name in names if name.startswith("tests/")]


def test_the_version_is_in_one_place_and_the_changelog_has_its_release() -> None:
    assert f"## {__version__} " in read("CHANGELOG.md")
    assert __version__ not in read("pyproject.toml").partition("[project.optional-dependencies]")[0]
