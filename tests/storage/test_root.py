import os
import stat
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from downloadd.errors import StorageError, StorageRootMissingError
from downloadd.storage.names import SafeDirectory, parse_directory
from downloadd.storage.root import StorageRoot


def path_of(fd: int) -> Path:
    return Path(os.readlink(f"/proc/self/fd/{fd}"))


@pytest.fixture
def umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_a_missing_root_is_made(tmp_path: Path) -> None:
    with StorageRoot(tmp_path / "a" / "root", fsync=True):
        assert (tmp_path / "a" / "root").is_dir()


def test_a_root_that_is_a_link_is_resolved_once_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "elsewhere").mkdir()
    link = tmp_path / "link"
    link.symlink_to("root")
    with StorageRoot(link, fsync=True) as root:
        link.unlink()
        link.symlink_to("elsewhere")
        with root.open_directory(parse_directory("a"), create=True) as fd:
            assert path_of(fd) == tmp_path / "root" / "a"


@pytest.mark.parametrize("kind", ["file", "dangling link", "behind a file"])
def test_a_root_that_is_not_a_directory_is_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "root"
    if kind == "dangling link":
        path.symlink_to("nowhere")
    else:
        path.touch()
    given = path / "below" if kind == "behind a file" else path
    with pytest.raises(StorageError, match=f"the storage root {given} cannot be used: it is not a directory"):
        StorageRoot(given, fsync=True).__enter__()


def test_missing_directories_are_made_on_request(tmp_path: Path, umask: int) -> None:
    with StorageRoot(tmp_path / "root", fsync=True) as root:
        with root.open_directory(parse_directory("a/ü/c"), create=True) as fd:
            assert path_of(fd) == tmp_path / "root/a/ü/c"
        made = (tmp_path / "root" / "a" / "ü").stat()
    assert stat.S_IMODE(made.st_mode) == 0o755 & ~umask


@pytest.mark.parametrize("fsync", [True, False])
def test_the_name_of_a_directory_that_was_made_is_on_stable_storage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fsync: bool
) -> None:
    synced: list[Path] = []
    monkeypatch.setattr(os, "fsync", lambda fd: synced.append(path_of(fd)))
    top = tmp_path / "root"
    (top / "a").mkdir(parents=True)
    with StorageRoot(top, fsync=fsync) as root, root.open_directory(parse_directory("a/b/c"), create=True):
        assert synced == ([top / "a", top / "a" / "b"] if fsync else [])


@pytest.fixture
def read_only() -> Iterator[Path]:
    """A directory that this process may read but not write; for that it is not root for the time of the test."""
    place = Path(tempfile.mkdtemp())
    place.chmod(0o555)
    user = os.geteuid()
    if not user:
        os.seteuid(65534)
    yield place
    os.seteuid(user)
    place.rmdir()


def test_a_root_that_cannot_be_written_to_is_refused_at_the_start(read_only: Path) -> None:
    with pytest.raises(StorageError, match="no permission to write in it"):
        StorageRoot(read_only, fsync=True).__enter__()


def test_missing_directories_are_not_made_without_a_request(tmp_path: Path) -> None:
    with (
        StorageRoot(tmp_path / "root", fsync=True) as root,
        pytest.raises(FileNotFoundError),
        root.open_directory(parse_directory("a")),
    ):
        pass
    assert list((tmp_path / "root").iterdir()) == []


def test_the_root_itself_is_the_empty_path(tmp_path: Path) -> None:
    with StorageRoot(tmp_path / "root", fsync=True) as root, root.open_directory(parse_directory("")) as fd:
        assert path_of(fd) == tmp_path / "root"


@pytest.mark.parametrize("create", [False, True], ids=["found", "made"])
@pytest.mark.parametrize("path", ["link", "link/below", "a/link/below"])
@pytest.mark.parametrize("target", ["outside", "inside", "dangling"])
def test_a_link_in_the_tree_is_never_followed(tmp_path: Path, path: str, target: str, create: bool) -> None:
    outside = tmp_path / "outside"
    (outside / "below").mkdir(parents=True)
    top = tmp_path / "root"
    (top / "a" / "real" / "below").mkdir(parents=True)
    (top / "real").mkdir()
    link = top / path.partition("link")[0] / "link"
    link.symlink_to({"outside": outside, "inside": link.parent / "real", "dangling": outside / "new"}[target])
    with (
        StorageRoot(top, fsync=True) as root,
        pytest.raises(NotADirectoryError),
        root.open_directory(parse_directory(path), create=create),
    ):
        pass
    assert [entry.name for entry in outside.rglob("*")] == ["below"]


@pytest.mark.parametrize("kind", ["file", "fifo"])
def test_an_entry_that_is_not_a_directory_is_refused_at_once(tmp_path: Path, kind: str) -> None:
    (tmp_path / "root").mkdir()
    if kind == "file":
        (tmp_path / "root" / "a").touch()
    else:
        os.mkfifo(tmp_path / "root" / "a")
    with (
        StorageRoot(tmp_path / "root", fsync=True) as root,
        pytest.raises(NotADirectoryError),
        root.open_directory(parse_directory("a/b"), create=True),
    ):
        pass


def test_free_space_is_that_of_the_file_system(tmp_path: Path) -> None:
    with StorageRoot(tmp_path / "root", fsync=True) as root:
        space = os.statvfs(tmp_path)
        assert 0 <= root.measure_space().free <= root.measure_space().capacity == space.f_blocks * space.f_frsize


def test_a_root_belongs_to_one_daemon_at_a_time(tmp_path: Path) -> None:
    with StorageRoot(tmp_path, fsync=False):
        with pytest.raises(StorageError, match="in use by another downloadd"), StorageRoot(tmp_path, fsync=False):
            pass
        # The refusal let go of nothing that belongs to the first one.
        with pytest.raises(StorageError), StorageRoot(tmp_path, fsync=False):
            pass
    with StorageRoot(tmp_path, fsync=False):
        assert list(tmp_path.iterdir()) == []


# -- a root that vanishes ----------------------------------------------------------------------------------------------


def test_a_missing_root_is_an_error_and_is_not_made(tmp_path: Path) -> None:
    top, changes = tmp_path / "root", []
    with StorageRoot(top, fsync=False, on_change=lambda: changes.append(1)) as root:
        top.rename(tmp_path / "away")
        for ask in (root.check, root.measure_space, root.open_directory(parse_directory("a"), create=True).__enter__):
            with pytest.raises(
                StorageRootMissingError, match=r"the storage root is gone \(No such file .*\); put it back"
            ) as e:
                ask()
            assert (e.value.transient, str(tmp_path) in e.value.detail) == (True, False)
        assert len(changes) == 3
        assert not top.exists()
        assert list((tmp_path / "away").iterdir()) == []
        (tmp_path / "away").rename(top)
        with root.open_directory(parse_directory("a"), create=True) as fd:
            assert path_of(fd) == top / "a"
        assert (root.generation, len(changes)) == (0, 3), "it is the same one"


def test_another_directory_at_its_path_is_the_root_from_then_on(tmp_path: Path) -> None:
    top = tmp_path / "root"
    with StorageRoot(top, fsync=False) as root:
        (tmp_path / "new").mkdir()
        top.rename(tmp_path / "old")
        (tmp_path / "new").rename(top)
        with root.open_directory(parse_directory("a"), create=True) as fd:
            assert path_of(fd) == top / "a"
        with pytest.raises(StorageRootMissingError, match="the storage root was replaced"):
            root.check(0)
        root.check(root.generation)
        # The new one is locked, the old one is not.
        with pytest.raises(StorageError, match="in use"), StorageRoot(top, fsync=False):
            pass
        with StorageRoot(tmp_path / "old", fsync=False):
            pass
    with StorageRoot(top, fsync=False):
        pass


@pytest.mark.parametrize("kind", ["file", "in use", "dangling link"])
def test_an_unusable_directory_does_not_become_the_root(tmp_path: Path, kind: str) -> None:
    top = tmp_path / "root"
    with StorageRoot(top, fsync=False) as root, StorageRoot(tmp_path / "other", fsync=False):
        top.rename(tmp_path / "old")
        match kind:
            case "file":
                top.touch()
                why = "it is not a directory"
            case "in use":
                top.symlink_to("other")
                why = "it is in use by another downloadd"
            case _:
                top.symlink_to("nowhere")
                why = "No such file"
        for _ in range(2):
            with pytest.raises(StorageRootMissingError, match=rf"the storage root is gone \({why}.*\); put it back"):
                root.check()
        top.unlink()
        (tmp_path / "old").rename(top)
        root.check(0)


def test_a_root_that_many_threads_find_replaced_is_opened_once(tmp_path: Path) -> None:
    top = tmp_path / "root"
    with StorageRoot(top, fsync=False) as root, ThreadPoolExecutor(8) as threads:
        for number in range(1, 50):
            top.rename(tmp_path / str(number))
            top.mkdir()
            place = parse_directory("a")

            def make(place: SafeDirectory = place) -> Path:
                with root.open_directory(place, create=True) as fd:
                    return path_of(fd)

            made = [asking.result() for asking in [threads.submit(make) for _ in range(8)]]
            assert set(made) == {top / "a"}
            assert root.generation == number


@pytest.mark.parametrize("blocked", [True, False], ids=["no right to look", "the right to look"])
def test_a_root_that_may_not_be_read_is_not_missing(tmp_path: Path, blocked: bool) -> None:
    user = os.geteuid()
    if user:
        pytest.skip("needs to become somebody else")
    top = tmp_path / "shut" / "root"
    with StorageRoot(top, fsync=False) as root:
        top.parent.chmod(0o700 if blocked else 0o711)
        tmp_path.chmod(0o711)
        os.seteuid(65534)
        try:
            root.check(0)
        finally:
            os.seteuid(user)
