import errno
import fcntl
import os
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NoReturn

import pytest
from support.machine import not_allowed
from support.refusing_disk import RefusingDisk

from downloadd.errors import StorageAwayError, StorageError, StorageRootMissingError
from downloadd.root_identity import RootIdentity
from downloadd.storage import root as root_module
from downloadd.storage.disk_space import UNSTATED_BYTES
from downloadd.storage.names import ROOT_MARKER_NAME, SafeDirectory, parse_directory
from downloadd.storage.root import StorageRoot
from downloadd.storage.root_lock import LOCK_POLL_SECONDS
from downloadd.storage.root_verifier import RootVerifier


def path_of(fd: int) -> Path:
    return Path(os.readlink(f"/proc/self/fd/{fd}"))


@pytest.fixture
def umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


@pytest.fixture
def short_lock_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(root_module, "LOCK_TIMEOUT_SECONDS", 2 * LOCK_POLL_SECONDS)


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


def test_a_root_on_a_read_only_disk_is_refused_with_what_a_service_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(os, "makedirs", refuse)
    expected = r"Read-only file system; .* ReadWritePaths of its unit \(storage\.root\)"
    with pytest.raises(StorageError, match=expected):
        StorageRoot(tmp_path / "root", fsync=True).__enter__()


def test_missing_directories_are_made_on_request(tmp_path: Path, umask: int) -> None:
    with StorageRoot(tmp_path / "root", fsync=True) as root:
        with root.open_directory(parse_directory("a/ü/c"), create=True) as fd:
            assert path_of(fd) == tmp_path / "root/a/ü/c"
        made = (tmp_path / "root" / "a" / "ü").stat()
    assert stat.S_IMODE(made.st_mode) == 0o777 & ~umask


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


def test_permission_is_tried_and_not_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # As under a container engine that does not know faccessat2(2).
    monkeypatch.setattr(os, "access", lambda *_, **__: False)
    with StorageRoot(tmp_path / "root", fsync=True) as root:
        root.try_writing()
    assert list((tmp_path / "root").iterdir()) == []


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT], ids=errno.errorcode.__getitem__)
def test_a_full_disk_does_not_prevent_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    (tmp_path / "root").mkdir()
    RefusingDisk(monkeypatch, tmp_path).refuse(number)
    with StorageRoot(tmp_path / "root", fsync=True) as root:
        root.try_writing()


@pytest.mark.parametrize("number", [errno.EROFS, errno.EIO, errno.ENOTCONN], ids=errno.errorcode.__getitem__)
def test_a_root_that_takes_no_writes_is_away_until_it_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    disk = RefusingDisk(monkeypatch, tmp_path)
    with StorageRoot(tmp_path / "root", fsync=True) as root:
        for call in ("create", "write", "fsync"):
            disk.refuse(number, {call})
            with pytest.raises(StorageAwayError, match=f"takes no writes .{os.strerror(number)}"):
                root.try_writing()
        disk.accept()
        root.try_writing()
        assert root.generation == 0


@pytest.mark.parametrize(
    "number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.EPERM, errno.EBADF, errno.EIO], ids=errno.errorcode.__getitem__
)
def test_a_file_system_without_locks_can_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def flock(*_: object) -> NoReturn:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)
    with StorageRoot(tmp_path, fsync=False) as root:
        root.try_writing()


AWAY = pytest.mark.parametrize(
    "number", [errno.ENOTCONN, errno.ESTALE, errno.EHOSTDOWN], ids=errno.errorcode.__getitem__
)


class DeadMount:
    """Path that answers no call but with an error."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, path: Path, number: int) -> None:
        self.is_dead = True
        self._path, self._number = os.fspath(path), number
        for name in ("stat", "lstat", "open", "mkdir"):
            monkeypatch.setattr(os, name, self._wrap(getattr(os, name)))

    def _wrap(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(path: Any, *arguments: Any, **options: Any) -> Any:
            if self.is_dead and path == self._path:
                raise OSError(self._number, os.strerror(self._number))
            return real(path, *arguments, **options)

        return call


@AWAY
@pytest.mark.usefixtures("short_lock_timeout")
def test_a_root_that_does_not_answer_at_the_start_is_missing_until_it_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    top = tmp_path / "root"
    top.mkdir()
    mount = DeadMount(monkeypatch, top, number)
    with StorageRoot(top, fsync=True) as root:
        for ask in (root.check, root.try_writing, root.measure_space):
            with pytest.raises(StorageRootMissingError, match=f"is gone .{os.strerror(number)}.; put it back"):
                ask()
        mount.is_dead = False
        with root.open_directory(parse_directory("a"), create=True) as fd:
            assert path_of(fd) == top / "a"
        root.try_writing()
        # It is locked now.
        with pytest.raises(StorageError, match="in use by another"):
            StorageRoot(top, fsync=True).__enter__()


@AWAY
def test_another_root_in_place_of_one_that_did_not_answer_at_the_start_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    top = tmp_path / "root"
    identified: list[RootIdentity] = []
    with StorageRoot(top, fsync=True, verifier=RootVerifier(None, fsync=True, on_identified=identified.append)):
        pass
    (top / ROOT_MARKER_NAME).unlink()
    mount = DeadMount(monkeypatch, top, number)
    verifier = RootVerifier(identified[0], fsync=True, on_identified=identified.append)
    with StorageRoot(top, fsync=True, verifier=verifier) as root:
        mount.is_dead = False
        with pytest.raises(StorageRootMissingError, match="emptied"):
            root.check()
        assert list(top.iterdir()) == []
        root.accept()
        root.try_writing()


def test_a_root_behind_an_error_is_not_called_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    top = tmp_path / "root"
    top.mkdir()
    DeadMount(monkeypatch, top, errno.EIO)
    with pytest.raises(StorageError, match="Input/output error"):
        StorageRoot(top, fsync=True).__enter__()


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


@pytest.mark.parametrize(
    "statvfs",
    [
        pytest.param(lambda _: os.statvfs_result((4096, 4096, 0, 0, 0, 0, 0, 0, 0, 255)), id="without a limit"),
        pytest.param(errno.ENOSYS, id="ENOSYS"),
        pytest.param(errno.EOPNOTSUPP, id="EOPNOTSUPP"),
    ],
)
def test_a_disk_that_states_no_space_is_not_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, statvfs: Callable[[int], os.statvfs_result] | int
) -> None:
    if isinstance(statvfs, int):
        RefusingDisk(monkeypatch, tmp_path).refuse(statvfs, {"statvfs"})
    else:
        monkeypatch.setattr(os, "statvfs", statvfs)
    with StorageRoot(tmp_path / "root", fsync=True) as root:
        assert root.measure_space().free == root.measure_space().capacity == UNSTATED_BYTES


@pytest.mark.usefixtures("short_lock_timeout")
def test_a_root_belongs_to_one_daemon_at_a_time(tmp_path: Path) -> None:
    with StorageRoot(tmp_path, fsync=False):
        with pytest.raises(StorageError, match="in use by another downloadd"), StorageRoot(tmp_path, fsync=False):
            pass
        # The refusal let go of nothing that belongs to the first one.
        with pytest.raises(StorageError), StorageRoot(tmp_path, fsync=False):
            pass
    with StorageRoot(tmp_path, fsync=False):
        assert list(tmp_path.iterdir()) == []


def test_a_start_waits_for_the_lock_of_a_killed_daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    fd = os.open(tmp_path, os.O_RDONLY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)

        def end_the_other_at_the_third_pause(seconds: float) -> None:
            pauses.append(seconds)
            if len(pauses) == 3:
                fcntl.flock(fd, fcntl.LOCK_UN)

        monkeypatch.setattr(time, "sleep", end_the_other_at_the_third_pause)
        with StorageRoot(tmp_path, fsync=False):
            assert pauses == [LOCK_POLL_SECONDS] * 3
    finally:
        os.close(fd)


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


@pytest.mark.usefixtures("short_lock_timeout")
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


def test_a_directory_that_takes_no_writes_does_not_become_the_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    top = tmp_path / "root"
    with StorageRoot(top, fsync=False) as root:
        top.rename(tmp_path / "old")
        top.mkdir()
        disk = RefusingDisk(monkeypatch, top)
        disk.refuse(errno.EACCES, {"create"})
        with pytest.raises(StorageRootMissingError, match=r"is gone \(no permission to write in it\); put it back"):
            root.check()
        assert root.generation == 0
        disk.accept()
        root.check()
        assert root.generation == 1


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
        not_allowed("become another user")
    top = tmp_path / "shut" / "root"
    with StorageRoot(top, fsync=False) as root:
        top.parent.chmod(0o700 if blocked else 0o711)
        tmp_path.chmod(0o711)
        os.seteuid(65534)
        try:
            root.check(0)
        finally:
            os.seteuid(user)
