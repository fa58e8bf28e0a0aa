"""The table of errors of the operating system, row by row."""

import errno

import pytest

from downloadd.errors import (
    DownloadError,
    FileTooLargeForDiskError,
    InsufficientStorageError,
    InvalidPathError,
    StorageAwayError,
    StorageError,
)
from downloadd.storage.os_errors import CAUSES, FULL_ERRNOS, Cause, find_cause, map_os_error

ROWS = [
    ("ENOSPC", Cause.FULL, "each file system"),
    ("EDQUOT", Cause.FULL, "quotas, also of NFS and SMB"),
    ("EFBIG", Cause.TOO_LARGE, "FAT32, RLIMIT_FSIZE"),
    ("ENAMETOOLONG", Cause.NAME, "eCryptfs: 143 bytes"),
    ("EINVAL", Cause.NAME, "exFAT, SMB: reserved characters"),
    ("EILSEQ", Cause.NAME, "ZFS with utf8only, SMB"),
    ("ELOOP", Cause.NAME, "links in the path"),
    ("ENOTDIR", Cause.NAME, "files in the path"),
    ("EISDIR", Cause.NAME, "a directory of this name"),
    ("EMFILE", Cause.BUSY, "descriptors of the process"),
    ("ENFILE", Cause.BUSY, "descriptors of the machine, or of an NFS server"),
    ("ENOMEM", Cause.BUSY, "memory"),
    ("ENOBUFS", Cause.BUSY, "memory of the network"),
    ("EAGAIN", Cause.BUSY, "NFS: the server asks for patience"),
    ("EBUSY", Cause.BUSY, "SMB: open elsewhere; NFS: .nfs… files"),
    ("ETXTBSY", Cause.BUSY, "SMB: open elsewhere"),
    ("ENOENT", Cause.REMOVED, "a directory that was removed"),
    ("ENOTCONN", Cause.AWAY, "FUSE: its program has ended"),
    ("ECONNABORTED", Cause.AWAY, "FUSE: its connection was aborted"),
    ("ESTALE", Cause.AWAY, "NFS: exported anew"),
    ("EREMOTEIO", Cause.AWAY, "NFS"),
    ("ETIMEDOUT", Cause.AWAY, "NFS: softerr"),
    ("EHOSTDOWN", Cause.AWAY, "SMB"),
    ("EHOSTUNREACH", Cause.AWAY, "NFS, SMB"),
    ("ENETDOWN", Cause.AWAY, "NFS, SMB"),
    ("ENETUNREACH", Cause.AWAY, "NFS, SMB"),
    ("ECONNREFUSED", Cause.AWAY, "NFS, automounts"),
    ("ECONNRESET", Cause.AWAY, "NFS, SMB"),
    ("ENOLINK", Cause.AWAY, "virtiofs, SMB"),
    ("ESHUTDOWN", Cause.AWAY, "XFS, f2fs"),
    ("ENODEV", Cause.AWAY, "a device that was removed, FUSE"),
    ("ENXIO", Cause.AWAY, "a device that was removed"),
    ("ENOMEDIUM", Cause.AWAY, "a card reader without a card"),
    ("ENOKEY", Cause.AWAY, "eCryptfs, fscrypt: locked"),
    ("EKEYEXPIRED", Cause.AWAY, "NFS and SMB with Kerberos"),
    ("EKEYREVOKED", Cause.AWAY, "fscrypt"),
    ("EKEYREJECTED", Cause.AWAY, "SMB: another password"),
    # These say nothing of what is refused: it is tried.
    ("EIO", Cause.OTHER, "a bad block, or a soft NFS mount without its server"),
    ("EROFS", Cause.OTHER, "a disk mounted anew after errors, or a part of it"),
    ("EACCES", Cause.OTHER, "rights of a directory, or of the whole SMB share"),
    ("EPERM", Cause.OTHER, "immutable directories, exFAT"),
    ("ENOSYS", Cause.OTHER, "FUSE"),
    ("EOPNOTSUPP", Cause.OTHER, "FUSE, SMB"),
    ("EPROTO", Cause.OTHER, "FUSE"),
]

ERRORS = {
    Cause.FULL: (InsufficientStorageError, True),
    Cause.TOO_LARGE: (FileTooLargeForDiskError, False),
    Cause.NAME: (InvalidPathError, False),
    Cause.BUSY: (StorageError, True),
    Cause.REMOVED: (StorageError, True),
    Cause.AWAY: (StorageAwayError, True),
    Cause.OTHER: (StorageError, False),
}


@pytest.mark.parametrize(("name", "cause", "seen"), ROWS, ids=[name for name, *_ in ROWS])
def test_each_error_has_a_cause_and_a_code(name: str, cause: Cause, seen: str) -> None:
    error = OSError(getattr(errno, name), "because")
    assert find_cause(error) is cause, seen
    mapped = map_os_error(error, "a/b")
    assert (type(mapped), mapped.transient) == ERRORS[cause]


def test_the_rows_above_are_all_of_the_table() -> None:
    assert {getattr(errno, name): cause for name, cause, _ in ROWS if cause is not Cause.OTHER} == CAUSES
    assert set(ERRORS) == set(Cause)
    assert {errno.ENOSPC, errno.EDQUOT} == FULL_ERRNOS


@pytest.mark.parametrize("number", errno.errorcode, ids=lambda number: errno.errorcode[number])
def test_each_error_of_the_system_is_mapped_without_the_path_of_the_root(number: int) -> None:
    translated = map_os_error(OSError(number, "because", "/srv/secret/a"), "a/b")
    assert isinstance(translated, DownloadError)
    assert translated.detail.startswith("a/b: ")
    assert "/srv/secret" not in translated.detail


def test_an_error_without_a_number_has_a_message() -> None:
    assert map_os_error(OSError(), "").detail == "the storage root: OSError"


def test_a_disk_that_is_away_says_what_the_download_does() -> None:
    error = map_os_error(OSError(errno.ENOTCONN, "Transport endpoint is not connected"), "a/b")
    assert error.detail == (
        "a/b: Transport endpoint is not connected; the disk does not answer, and the download continues when it does"
    )
