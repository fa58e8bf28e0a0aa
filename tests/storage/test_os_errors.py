import errno

import pytest

from downloadd.errors import (
    DownloadError,
    FileTooLargeForDiskError,
    InsufficientStorageError,
    InvalidPathError,
    StorageError,
)
from downloadd.storage.os_errors import map_os_error


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOSPC, InsufficientStorageError),
        (errno.EDQUOT, InsufficientStorageError),
        (errno.EFBIG, FileTooLargeForDiskError),
        (errno.ENAMETOOLONG, InvalidPathError),
        (errno.ELOOP, InvalidPathError),
        (errno.ENOTDIR, InvalidPathError),
        (errno.EISDIR, InvalidPathError),
        (errno.EINVAL, InvalidPathError),
        (errno.EILSEQ, InvalidPathError),
        (errno.EIO, StorageError),
        (errno.EROFS, StorageError),
        (errno.EACCES, StorageError),
        (errno.ENOENT, StorageError),
        (errno.EMFILE, StorageError),
    ],
    ids=lambda value: errno.errorcode[value] if isinstance(value, int) else "",
)
def test_an_error_of_the_system_has_a_code(number: int, kind: type[DownloadError]) -> None:
    assert type(map_os_error(OSError(number, "because"), "a/b")) is kind


@pytest.mark.parametrize("number", errno.errorcode, ids=lambda number: errno.errorcode[number])
def test_each_error_of_the_system_is_mapped_without_the_path_of_the_root(number: int) -> None:
    translated = map_os_error(OSError(number, "because", "/srv/secret/a"), "a/b")
    assert isinstance(translated, DownloadError)
    assert translated.detail.startswith("a/b: ")
    assert "/srv/secret" not in translated.detail


def test_an_error_without_a_number_has_a_message() -> None:
    assert map_os_error(OSError(), "").detail == "the storage root: OSError"


@pytest.mark.parametrize(
    ("number", "is_transient"),
    [(errno.EMFILE, True), (errno.ENOENT, True), (errno.ESTALE, True), (errno.EIO, False), (errno.EACCES, False)],
    ids=lambda value: errno.errorcode[value] if not isinstance(value, bool) else "",
)
def test_exhausted_descriptors_and_removed_files_are_transient(number: int, is_transient: bool) -> None:
    assert map_os_error(OSError(number, "because"), "a/b").transient is is_transient
