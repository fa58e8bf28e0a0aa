import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from downloadd.watch.folder import MAX_NAME_BYTES, FolderInUseError, WatchFolder
from downloadd.watch.outcome import FileProgress, FileResult, Outcome, refused


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[WatchFolder]:
    with WatchFolder(tmp_path) as opened:
        yield opened


def make_result(name: str, outcome: Outcome = Outcome.DONE) -> FileResult:
    return FileResult(name=name, outcome=outcome, ended_at=1)


def test_only_regular_files_are_found(tmp_path: Path, folder: WatchFolder) -> None:
    (tmp_path / "a.txt").write_text("x")
    (tmp_path / ".hidden").write_text("x")
    (tmp_path / "link.txt").symlink_to("a.txt")
    (tmp_path / "directory.txt").mkdir()
    os.mkfifo(tmp_path / "pipe.txt")
    assert [(file.name, file.size) for file in folder.scan()] == [("a.txt", 1)]


def test_a_second_process_cannot_use_the_folder(tmp_path: Path, folder: WatchFolder) -> None:
    with pytest.raises(FolderInUseError, match="another daemon watches it"), WatchFolder(tmp_path):
        pass


def test_a_folder_is_free_after_its_use(tmp_path: Path) -> None:
    for _ in range(2):
        with WatchFolder(tmp_path):
            pass


def test_a_missing_folder_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), WatchFolder(tmp_path / "missing"):
        pass


def test_a_folder_that_was_replaced_is_another_one(tmp_path: Path) -> None:
    path = tmp_path / "in"
    path.mkdir()
    with WatchFolder(path) as folder:
        assert folder.is_same()
        path.rename(tmp_path / "old")
        with pytest.raises(FileNotFoundError):
            folder.is_same()
        (path / "processing").mkdir(parents=True)
        assert not folder.is_same()


def test_a_file_moves_to_processing_and_then_to_its_outcome(tmp_path: Path, folder: WatchFolder) -> None:
    (tmp_path / "a.txt").write_text("x")
    assert folder.take("a.txt") == "a.txt"
    assert folder.processing() == ["a.txt"]
    assert folder.scan() == []
    with folder.open_taken("a.txt") as file:
        assert file.read() == b"x"
    folder.write_progress("a.txt", FileProgress(operation="op"))
    folder.settle("a.txt", refused("a.txt", "no", now=7))
    assert folder.processing() == []
    assert sorted(path.name for path in (tmp_path / "failed").iterdir()) == ["a.txt", "a.txt.result.json"]
    assert json.loads((tmp_path / "failed" / "a.txt.result.json").read_text())["reason"] == "no"
    assert list((tmp_path / "processing").iterdir()) == []


def test_a_file_of_a_known_name_gets_a_number(tmp_path: Path, folder: WatchFolder) -> None:
    names = []
    for outcome in (Outcome.DONE, Outcome.FAILED, None):
        (tmp_path / "a.txt").write_text("x")
        names.append(folder.take("a.txt"))
        if outcome is not None:
            folder.settle(names[-1], make_result(names[-1], outcome))
    assert names == ["a.txt", "a (2).txt", "a (3).txt"]


@pytest.mark.parametrize("name", ["x" * 251 + ".txt", "é" * 125 + ".csv", os.fsdecode(b"\xff\xfe.txt")])
def test_a_long_or_odd_name_is_kept_in_a_form_that_has_room_for_its_result(
    tmp_path: Path, folder: WatchFolder, name: str
) -> None:
    (tmp_path / name).write_text("x")
    taken = folder.take(name)
    assert len(taken.encode()) <= MAX_NAME_BYTES
    assert Path(taken).suffix == Path(name).suffix
    folder.write_progress(taken, FileProgress(operation="op"))
    folder.settle(taken, make_result(taken))
    assert (tmp_path / "done" / taken).exists()


def test_progress_survives_and_a_damaged_one_is_that_of_a_new_file(tmp_path: Path, folder: WatchFolder) -> None:
    (tmp_path / "a.txt").write_text("x")
    folder.take("a.txt")
    assert folder.read_progress("a.txt") == FileProgress()
    progress = FileProgress(operation="op", runs=("r",), is_started=True)
    folder.write_progress("a.txt", progress)
    assert folder.read_progress("a.txt") == progress
    (tmp_path / "processing" / ".a.txt.progress").write_text("{")
    assert folder.read_progress("a.txt") == FileProgress()


def test_a_file_does_not_get_the_progress_of_an_earlier_one_of_its_name(tmp_path: Path, folder: WatchFolder) -> None:
    folder.write_progress("a.txt", FileProgress(operation="of a file that was settled before a crash"))
    (tmp_path / "a.txt").write_text("x")
    assert folder.read_progress(folder.take("a.txt")) == FileProgress()


def test_a_taken_file_that_became_a_link_is_not_followed(tmp_path: Path, folder: WatchFolder) -> None:
    (tmp_path / "processing" / "a.txt").symlink_to("/etc/passwd")
    with pytest.raises(OSError, match="Too many levels"):
        folder.open_taken("a.txt")
    assert folder.processing() == []
