"""Marks of storage roots."""

import errno
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from downloadd.errors import InvalidPathError, StorageError, StorageRootMissingError
from downloadd.root_identity import RootIdentity
from downloadd.storage.names import ROOT_MARKER_NAME, parse_directory, parse_filename
from downloadd.storage.root import StorageRoot
from downloadd.storage.root_verifier import RootVerifier, identify, read_marker

PLACE = parse_directory("d")


@pytest.fixture
def identified() -> list[RootIdentity]:
    return []


@contextmanager
def opened(
    path: Path, identified: list[RootIdentity], expected: RootIdentity | None = None, *, is_shared: bool = False
) -> Iterator[StorageRoot]:
    verifier = RootVerifier(expected, fsync=True, on_identified=identified.append, is_shared=is_shared)
    with StorageRoot(path, fsync=True, verifier=verifier, is_shared=is_shared) as root:
        yield root


def test_the_first_root_is_marked_and_known_again(tmp_path: Path, identified: list[RootIdentity]) -> None:
    path = tmp_path / "root"
    with opened(path, identified):
        [first] = identified
        assert (path / ROOT_MARKER_NAME).read_text() == f"{first.marker}\n"
        assert (first.path, first.device != "") == (str(path), True)
    with opened(path, identified, first) as root:
        root.check()
    assert identified == [first]


def test_another_root_is_held_until_the_one_before_is_back(tmp_path: Path, identified: list[RootIdentity]) -> None:
    path, away = tmp_path / "root", tmp_path / "away"
    with opened(path, identified):
        pass
    path.rename(away)
    path.mkdir()
    with opened(path, identified, identified[0]) as root:
        for call in (root.check, root.measure_space, root.open_directory(PLACE, create=True).__enter__):
            with pytest.raises(StorageRootMissingError, match="emptied"):
                call()
        assert os.listdir(path) == []
        path.rmdir()
        away.rename(path)
        with root.open_directory(PLACE, create=True):
            pass
    assert sorted(os.listdir(path)) == [ROOT_MARKER_NAME, "d"]
    assert len(identified) == 1


def test_a_held_root_is_not_replaced_by_a_third_one(tmp_path: Path, identified: list[RootIdentity]) -> None:
    path = tmp_path / "root"
    with opened(path, identified):
        pass
    path.rename(tmp_path / "away")
    path.mkdir()
    with opened(path, identified, identified[0]) as root:
        path.rename(tmp_path / "second")
        path.mkdir()
        with pytest.raises(StorageRootMissingError, match="emptied"):
            root.check()


def test_a_root_that_is_accepted_is_marked_anew(tmp_path: Path, identified: list[RootIdentity]) -> None:
    path, away = tmp_path / "root", tmp_path / "away"
    with opened(path, identified):
        pass
    path.rename(away)
    path.mkdir()
    with opened(path, identified, identified[0]) as root:
        accepted = root.accept()
        root.check()
    assert accepted.marker not in {None, identified[0].marker}
    assert identified[1:] == [accepted]
    # The one before is another one now.
    with opened(away, identified, accepted) as root, pytest.raises(StorageRootMissingError, match="another one"):
        root.check()


def test_a_root_that_is_replaced_while_it_is_used_is_used_and_marked(
    tmp_path: Path, identified: list[RootIdentity]
) -> None:
    path = tmp_path / "root"
    with opened(path, identified) as root:
        path.rename(tmp_path / "away")
        path.mkdir()
        root.check()
    assert len(identified) == 2
    assert (path / ROOT_MARKER_NAME).read_text() == f"{identified[1].marker}\n"


def test_a_root_of_lost_records_keeps_its_mark(tmp_path: Path, identified: list[RootIdentity]) -> None:
    for _ in range(2):
        with opened(tmp_path, identified):
            pass
    assert identified[0] == identified[1]


@pytest.mark.parametrize("content", [b"", b"nonsense\n", b"\xff" * 100])
def test_a_damaged_mark_is_none(tmp_path: Path, identified: list[RootIdentity], content: bytes) -> None:
    (tmp_path / ROOT_MARKER_NAME).write_bytes(content)
    fd = os.open(tmp_path, os.O_RDONLY)
    assert read_marker(fd) is None
    os.close(fd)
    with opened(tmp_path, identified):
        assert identified[0].marker == (tmp_path / ROOT_MARKER_NAME).read_text().strip()


def test_a_link_in_place_of_the_mark_is_not_followed(tmp_path: Path, identified: list[RootIdentity]) -> None:
    (tmp_path / "target").write_text("kept")
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / ROOT_MARKER_NAME).symlink_to(tmp_path / "target")
    with capture_logs() as lines, opened(tmp_path / "root", identified):
        assert identified[0].marker is not None
    assert (tmp_path / "target").read_text() == "kept"
    assert [line["event"] for line in lines] == ["root_marker_unreadable"]


def test_a_root_that_cannot_be_marked_is_used(tmp_path: Path, identified: list[RootIdentity]) -> None:
    (tmp_path / ROOT_MARKER_NAME).mkdir()
    with capture_logs() as lines, opened(tmp_path, identified) as root:
        root.check()
    assert identified[0].marker is None
    assert lines[-1]["event"] == "root_not_marked"


def test_no_download_can_have_the_name_of_the_mark() -> None:
    for name in (ROOT_MARKER_NAME, ROOT_MARKER_NAME.upper(), f"{ROOT_MARKER_NAME}."):
        with pytest.raises(InvalidPathError, match="reserved"):
            parse_filename(name)


def test_the_mount_is_that_of_the_descriptor() -> None:
    fd = os.open("/proc", os.O_RDONLY)
    identity = identify(fd, "/proc")
    os.close(fd)
    assert (identity.filesystem, identity.mount_point, identity.marker) == ("proc", "/proc", None)


def test_nodes_that_mark_a_shared_root_at_once_agree_on_one_mark(
    tmp_path: Path, identified: list[RootIdentity]
) -> None:
    with ThreadPoolExecutor(4) as threads:

        def open_once(number: int) -> None:
            with opened(tmp_path, identified, is_shared=True):
                pass

        list(threads.map(open_once, range(4)))
    assert len(identified) == 4
    assert len({root.marker for root in identified}) == 1


def test_another_path_and_device_of_a_shared_root_change_nothing(
    tmp_path: Path, identified: list[RootIdentity]
) -> None:
    with opened(tmp_path, identified, is_shared=True):
        pass
    elsewhere = replace(identified[0], device="0:99", mount_point=str(tmp_path), filesystem="nfs4")
    with opened(tmp_path, identified, elsewhere, is_shared=True) as root:
        root.check()
    assert len(identified) == 1


@pytest.mark.parametrize(("mark", "reason"), [(None, "it has no file .downloadd-root"), ("b", "to other records")])
def test_a_root_of_other_records_is_refused_at_the_start_of_a_node(
    tmp_path: Path, identified: list[RootIdentity], mark: str | None, reason: str
) -> None:
    expected = RootIdentity(marker="a" * 8 + "-aaaa-aaaa-aaaa-" + "a" * 12, path="/")
    if mark is not None:
        (tmp_path / ROOT_MARKER_NAME).write_text(expected.marker.replace("a", mark))  # type: ignore[union-attr]
    before = sorted(os.listdir(tmp_path))
    with pytest.raises(StorageError, match=reason), opened(tmp_path, identified, expected, is_shared=True):
        pass
    assert (sorted(os.listdir(tmp_path)), identified) == (before, [])
    # What the message says puts it right.
    (tmp_path / ROOT_MARKER_NAME).write_text(f"{expected.marker}\n")
    with opened(tmp_path, identified, expected, is_shared=True) as root:
        root.check()


def test_a_shared_root_that_is_exchanged_is_gone_until_a_node_accepts_it(
    tmp_path: Path, identified: list[RootIdentity]
) -> None:
    path, away = tmp_path / "root", tmp_path / "away"
    with (
        opened(path, identified, is_shared=True) as first,
        opened(path, identified, identified[0], is_shared=True) as second,
    ):
        path.rename(away)
        path.mkdir()
        for root in (first, second):
            with pytest.raises(StorageRootMissingError, match="it has no file"):
                root.check()
        assert os.listdir(path) == []
        first.accept()
        for root in (first, second):
            root.check()
        assert (path / ROOT_MARKER_NAME).read_text() == (away / ROOT_MARKER_NAME).read_text()
    assert len(identified) == 1


def test_a_shared_root_of_another_cluster_cannot_be_accepted(tmp_path: Path, identified: list[RootIdentity]) -> None:
    path = tmp_path / "root"
    with opened(tmp_path / "other", identified, is_shared=True):
        pass
    with opened(path, identified, is_shared=True) as root:
        path.rename(tmp_path / "away")
        (tmp_path / "other").rename(path)
        for call in (root.check, root.accept):
            with pytest.raises(StorageRootMissingError, match="belongs to other records"):
                call()


def test_a_shared_root_without_hard_links_is_refused(
    tmp_path: Path, identified: list[RootIdentity], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    with pytest.raises(StorageError, match="it has no hard links"), opened(tmp_path, identified, is_shared=True):
        pass
    assert os.listdir(tmp_path) == [ROOT_MARKER_NAME]
    # A daemon alone needs none.
    with opened(tmp_path, identified) as root:
        root.check()
