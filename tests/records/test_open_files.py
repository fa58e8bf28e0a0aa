"""Detection of files that were moved while they are open."""

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from downloadd.errors import StoreUnavailableError
from downloadd.records.open_files import OpenFiles


@pytest.fixture
def database(tmp_path: Path) -> Path:
    for name in ("records.db", "records.db-wal"):
        (tmp_path / name).write_bytes(b"x")
    return tmp_path / "records.db"


def test_files_that_are_in_place_pass(database: Path) -> None:
    files = OpenFiles(database)
    files.require_in_place()
    files.remember()
    files.require_in_place()


@pytest.mark.parametrize("name", ["records.db", "records.db-wal"])
def test_a_moved_file_is_reported_until_it_is_back(database: Path, name: str) -> None:
    files = OpenFiles(database)
    files.remember()
    moved, elsewhere = database.with_name(name), database.with_name("elsewhere")
    moved.rename(elsewhere)
    with capture_logs() as lines:
        for _ in range(2):
            with pytest.raises(StoreUnavailableError, match="put its state directory back"):
                files.require_in_place()
        elsewhere.rename(moved)
        files.require_in_place()
    assert [line["event"] for line in lines] == ["records_missing", "records_restored"]


def test_another_file_of_the_same_name_is_reported(database: Path) -> None:
    files = OpenFiles(database)
    files.remember()
    database.rename(database.with_name("elsewhere"))
    database.write_bytes(b"x")
    with pytest.raises(StoreUnavailableError):
        files.require_in_place()


def test_missing_files_cannot_be_remembered(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        OpenFiles(tmp_path / "records.db").remember()


def test_the_log_is_beside_the_target_of_a_link(database: Path, tmp_path: Path) -> None:
    link = tmp_path / "state" / "records.db"
    link.parent.mkdir()
    link.symlink_to(database)
    files = OpenFiles(link)
    files.remember()
    database.with_name("records.db-wal").unlink()
    with pytest.raises(StoreUnavailableError):
        files.require_in_place()
