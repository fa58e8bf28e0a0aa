import pytest

from downloadd.errors.base import DownloadError
from downloadd.errors.storage import (
    FileExistsAlreadyError,
    InsufficientStorageError,
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
        (StorageRootMissingError("gone"), True),
        (FileExistsAlreadyError("d/f"), False),
    ],
)
def test_an_error_of_the_storage_is_transient_if_its_cause_may_pass(error: DownloadError, transient: bool) -> None:
    assert error.transient is transient


def test_a_missing_root_is_reported_as_an_error_of_the_storage() -> None:
    error = StorageRootMissingError("gone")
    assert isinstance(error, StorageError)
    assert (error.code, error.status) == (StorageError.code, 500)


def test_an_existing_file_is_named() -> None:
    error = FileExistsAlreadyError("d/f")
    assert (error.path, error.detail) == ("d/f", "d/f exists, and conflict=error was requested")
