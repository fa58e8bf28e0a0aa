import os
from pathlib import Path

import pytest
from support.file_tree import contents_below, files_below, size_of


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "d" / "e").mkdir(parents=True)
    for name in ("a", "d/.b.part", "d/e/c"):
        (tmp_path / name).write_text(name)
    (tmp_path / "link").symlink_to(tmp_path / "d")
    return tmp_path


def test_files_of_all_directories_are_found(root: Path) -> None:
    assert contents_below(root) == {"a": b"a", "d/.b.part": b"d/.b.part", "d/e/c": b"d/e/c"}
    assert list(files_below(root / "missing")) == []


def test_what_vanishes_meanwhile_is_left_out(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read_bytes = Path.read_bytes

    def remove_and_read(path: Path) -> bytes:
        if path.name == "a":
            path.unlink()
            (root / "d" / "e" / "c").unlink()
            os.rmdir(root / "d" / "e")
        return read_bytes(path)

    monkeypatch.setattr(Path, "read_bytes", remove_and_read)
    assert contents_below(root) == {"d/.b.part": b"d/.b.part"}


def test_a_missing_file_has_no_bytes(root: Path) -> None:
    assert (size_of(root / "a"), size_of(root / "b")) == (1, 0)
