"""Reading of a real storage root."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from downloadd.storage.names import ROOT_DIRECTORY, PartName, format_part_name, parse_directory, parse_filename
from downloadd.storage.publisher import Publisher
from downloadd.storage.root import StorageRoot
from downloadd.storage.stored_files import complete_publication, count_bytes, list_directories, open_file

FILE = parse_filename("f")
PART = format_part_name(FILE, "0f6a1c7e-5f0a-4c39-8a35-9c52ed1a6d7b", 1)


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[StorageRoot]:
    with StorageRoot(tmp_path, fsync=False) as root:
        yield root


def test_a_file_is_opened_and_a_link_or_fifo_does_not_block(opened: StorageRoot, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"abc")
    fd = open_file(opened, ROOT_DIRECTORY, FILE)
    assert os.read(fd, 10) == b"abc"
    os.close(fd)
    (tmp_path / "link").symlink_to("f")
    with pytest.raises(OSError, match="symbolic"):
        open_file(opened, ROOT_DIRECTORY, parse_filename("link"))
    os.mkfifo(tmp_path / "fifo")
    os.close(open_file(opened, ROOT_DIRECTORY, parse_filename("fifo")))


def test_directories_are_listed_in_order_by_their_prefix(opened: StorageRoot, tmp_path: Path) -> None:
    for name in ("movies", "music", "mail", ".hidden", "api", "other"):
        (tmp_path / name).mkdir()
    (tmp_path / "mfile").touch()
    (tmp_path / "mlink").symlink_to("music")
    assert list_directories(opened, ROOT_DIRECTORY, "m", 10) == ["mail", "movies", "music"]
    assert list_directories(opened, ROOT_DIRECTORY, "m", 2) == ["mail", "movies"]
    assert list_directories(opened, ROOT_DIRECTORY, "", 10) == ["mail", "movies", "music", "other"]
    assert list_directories(opened, parse_directory("missing"), "", 10) == []
    assert list_directories(opened, parse_directory("mfile"), "", 10) == []


def test_the_bytes_of_all_files_below_are_counted_once(opened: StorageRoot, tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "f").write_bytes(b"x" * 10)
    (tmp_path / "a" / "b" / "f").write_bytes(b"x" * 5)
    (tmp_path / "a" / "link").symlink_to("f")
    (tmp_path / "f").write_bytes(b"x")
    assert count_bytes(opened, parse_directory("a"), frozenset()) == 15
    assert count_bytes(opened, parse_directory("a"), frozenset({"a/b/f"})) == 10
    assert count_bytes(opened, ROOT_DIRECTORY, frozenset()) == 16
    assert count_bytes(opened, parse_directory("missing"), frozenset()) == 0


@pytest.mark.parametrize(
    ("final", "part", "total", "complete"),
    [
        pytest.param(b"abc", None, 3, True, id="the part is missing"),
        pytest.param(b"abc", "linked", 3, True, id="both names are one file"),
        pytest.param(b"abc", "own", 3, False, id="the part is another file"),
        pytest.param(b"abc", None, 4, False, id="another length"),
        pytest.param(None, "own", 3, False, id="no final file"),
    ],
)
def test_a_publication_is_completed_if_the_final_file_is_in_place(
    opened: StorageRoot, tmp_path: Path, final: bytes | None, part: str | None, total: int, complete: bool
) -> None:
    if final is not None:
        (tmp_path / "f").write_bytes(final)
    if part == "linked":
        os.link(tmp_path / "f", tmp_path / PART)
    elif part == "own":
        (tmp_path / PART).write_bytes(b"abc")
    assert is_complete(opened, total, PART) is complete
    assert (tmp_path / PART).exists() == (part == "own")


def test_without_a_recorded_part_the_final_file_decides(opened: StorageRoot, tmp_path: Path) -> None:
    assert not is_complete(opened, 3, None)
    (tmp_path / "f").write_bytes(b"abc")
    assert is_complete(opened, 3, None)


def is_complete(root: StorageRoot, total: int, part: PartName | None) -> bool:
    return complete_publication(
        root,
        Publisher(fsync=False, umask=0),
        directory=ROOT_DIRECTORY,
        filename=FILE,
        total=total,
        parts=() if part is None else (part,),
        part_directory=ROOT_DIRECTORY,
    )
