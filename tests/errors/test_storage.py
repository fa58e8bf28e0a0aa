import pytest

from downloadd.errors.base import DownloadError
from downloadd.errors.storage import (
    FileExistsAlreadyError,
    FileTooLargeForDiskError,
    InsufficientStorageError,
    SpacePendingError,
    StorageAwayError,
    StorageError,
    StorageRootMissingError,
)


@pytest.mark.parametrize(
    ("error", "transient"),
    [
        (InsufficientStorageError("full"), True),
        (InsufficientStorageError("quota", permanent=True), False),
        (StorageError("read-only"), False),
        (StorageError("removed", transient=True), True),
        (StorageAwayError("does not answer"), True),
        (StorageRootMissingError("gone"), True),
        (FileExistsAlreadyError("d/f"), False),
        (SpacePendingError(needed=3, kept=0, available=2), True),
        (FileTooLargeForDiskError("too large"), False),
    ],
)
def test_an_error_of_the_storage_is_transient_if_its_cause_may_pass(error: DownloadError, transient: bool) -> None:
    assert error.transient is transient


def test_a_missing_root_is_reported_as_an_error_of_the_storage() -> None:
    error = StorageRootMissingError("gone")
    assert isinstance(error, StorageAwayError)
    assert (error.code, error.status) == (StorageError.code, 500)


def test_an_existing_file_is_named() -> None:
    error = FileExistsAlreadyError("d/f")
    assert (error.path, error.detail) == ("d/f", "d/f exists, and conflict=error was requested")


def test_a_file_too_large_for_the_disk_has_the_code_of_one_too_large_for_the_daemon() -> None:
    assert FileTooLargeForDiskError("too large").code == "FILE_TOO_LARGE"


def test_missing_space_is_named() -> None:
    error = SpacePendingError(needed=3_000_000, kept=1, available=2_384_896)
    assert error.detail == "waits for space on the disk: needs 3 MB, 2.4 MB free"
    assert (error.code, error.needed, error.kept) == ("INSUFFICIENT_STORAGE", 3_000_000, 1)
