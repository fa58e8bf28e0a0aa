"""Modes, owners and times of files, as far as the disk supports them."""

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest
from structlog.testing import capture_logs

from downloadd.storage.acl import ACCESS_ACL, DEFAULT_ACL, AclEntry, AclTag, format_acl, make_acl, parse_acl
from downloadd.storage.attributes import FileAttributes, read_umask

REFUSALS = sorted(errno.errorcode)


@pytest.fixture
def fd(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path / "f", os.O_RDWR | os.O_CREAT, 0o600)
    yield fd
    os.close(fd)


def refuse_all(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def refuse(*_: object, **__: object) -> NoReturn:
        raise OSError(number, os.strerror(number))

    for name in ("fchown", "fchmod", "utime"):
        monkeypatch.setattr(os, name, refuse)


def set_all(attributes: FileAttributes, fd: int, path: str = "d/f") -> None:
    attributes.set_owner(fd, (os.geteuid(), os.getegid()), path)
    attributes.set_mode(fd, 0o640, path, is_configured=True)
    attributes.set_times(fd, path, accessed_ns=10**9, modified_ns=2 * 10**9)


def test_attributes_are_set(fd: int) -> None:
    with capture_logs() as lines:
        set_all(FileAttributes(), fd)
    status = os.fstat(fd)
    assert (stat.S_IMODE(status.st_mode), status.st_atime, status.st_mtime) == (0o640, 1.0, 2.0)
    assert lines == []


@pytest.mark.parametrize("number", REFUSALS, ids=lambda number: errno.errorcode[number])
def test_a_refusal_of_any_kind_is_no_error(fd: int, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    refuse_all(monkeypatch, number)
    with capture_logs() as lines:
        set_all(FileAttributes(), fd)
    assert [(line["attribute"], line["log_level"], line["path"], line["reason"]) for line in lines] == [
        ("owner", "warning", "d/f", os.strerror(number)),
        ("mode", "warning", "d/f", os.strerror(number)),
        ("time", "info", "d/f", os.strerror(number)),
    ]


def test_a_refusal_is_logged_once_for_each_file_system(fd: int, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse_all(monkeypatch, errno.EPERM)
    attributes = FileAttributes()
    with capture_logs() as lines:
        for number in range(3):
            set_all(attributes, fd, f"d/{number}")
    assert [line["path"] for line in lines] == ["d/0"] * 3
    other = os.open("/proc/self/mounts", os.O_RDONLY)
    try:
        with capture_logs() as lines:
            set_all(attributes, other)
    finally:
        os.close(other)
    assert len(lines) == 3


def test_a_mode_of_the_daemon_s_own_is_refused_without_a_warning(fd: int, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse_all(monkeypatch, errno.EPERM)
    with capture_logs() as lines:
        FileAttributes().set_mode(fd, 0o644, "f", is_configured=False)
    assert [line["log_level"] for line in lines] == ["info"]


# -- rights of a new file; `test_rights` has them on real file systems -------------------------------------------------

DIRECTORY_LIST = [
    AclEntry(tag=AclTag.OWNER, permissions=7),
    AclEntry(tag=AclTag.USER, permissions=6, id=1234),
    AclEntry(tag=AclTag.OWNING_GROUP, permissions=4),
    AclEntry(tag=AclTag.MASK, permissions=6),
    AclEntry(tag=AclTag.OTHER, permissions=0),
]


class Lists:
    """Extended attributes with access control lists, in place of those of the disk."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, found: dict[str, bytes]) -> None:
        self.found = found
        self.refusal: int | None = None
        monkeypatch.setattr(os, "getxattr", self.get)
        monkeypatch.setattr(os, "setxattr", self.set)

    def get(self, fd: int, name: str) -> bytes:
        if name not in self.found:
            raise OSError(errno.ENODATA, "none")
        return self.found[name]

    def set(self, fd: int, name: str, value: bytes) -> None:
        if self.refusal is not None:
            raise OSError(self.refusal, os.strerror(self.refusal))
        self.found[name] = value


def mode_of(fd: int) -> int:
    return stat.S_IMODE(os.fstat(fd).st_mode)


@pytest.mark.parametrize("umask", [0, 0o022, 0o002, 0o077])
@pytest.mark.parametrize("number", [errno.ENODATA, errno.EOPNOTSUPP, errno.ENOSYS, errno.EPERM])
def test_without_a_list_a_new_file_has_the_mode_less_the_umask(
    fd: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, umask: int, number: int
) -> None:
    def refuse(*_: object) -> NoReturn:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "getxattr", refuse)
    FileAttributes().set_default_rights(fd, fd, 0o666, "f", umask=umask)
    assert mode_of(fd) == 0o666 & ~umask


@pytest.mark.parametrize("data", [b"", b"\x02\0\0\0", b"\x09" * 44])
def test_a_list_in_an_unknown_form_counts_as_none(fd: int, monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    Lists(monkeypatch, {DEFAULT_ACL: data})
    FileAttributes().set_default_rights(fd, fd, 0o666, "f", umask=0o027)
    assert mode_of(fd) == 0o640


def test_a_default_list_is_given_to_a_file_in_place_of_the_mode(fd: int, monkeypatch: pytest.MonkeyPatch) -> None:
    lists = Lists(monkeypatch, {DEFAULT_ACL: format_acl(DIRECTORY_LIST)})
    FileAttributes().set_default_rights(fd, fd, 0o666, "f", umask=0o077)
    assert {entry.tag: entry.permissions for entry in parse_acl(lists.found[ACCESS_ACL])} == {
        AclTag.OWNER: 6,
        AclTag.USER: 6,
        AclTag.OWNING_GROUP: 4,
        AclTag.MASK: 6,
        AclTag.OTHER: 0,
    }


@pytest.mark.parametrize(
    ("own", "mode"),
    [
        # The entries that the file got when it was made; its mask makes them valid.
        pytest.param(DIRECTORY_LIST, 0o660, id="a file with entries"),
        # Here the bits are the rights of the owning group, which must not get those of the user.
        pytest.param(None, 0o640, id="a file without entries"),
        pytest.param(make_acl(0o600), 0o640, id="a file with a list that is a mode"),
    ],
)
@pytest.mark.parametrize("number", [errno.EINVAL, errno.EPERM, errno.EOPNOTSUPP])
def test_a_file_that_cannot_be_given_a_list_has_a_mode_that_grants_no_more(
    fd: int, monkeypatch: pytest.MonkeyPatch, own: list[AclEntry] | None, mode: int, number: int
) -> None:
    found = {DEFAULT_ACL: format_acl(DIRECTORY_LIST)} | ({} if own is None else {ACCESS_ACL: format_acl(own)})
    Lists(monkeypatch, found).refusal = number
    FileAttributes().set_default_rights(fd, fd, 0o666, "f", umask=0)
    assert mode_of(fd) == mode


def test_refused_rights_are_no_error(fd: int, monkeypatch: pytest.MonkeyPatch) -> None:
    Lists(monkeypatch, {DEFAULT_ACL: format_acl(DIRECTORY_LIST)}).refusal = errno.EOPNOTSUPP
    refuse_all(monkeypatch, errno.EIO)
    with capture_logs() as lines:
        FileAttributes().set_default_rights(fd, fd, 0o666, "f", umask=0)
    assert [(line["attribute"], line["log_level"]) for line in lines] == [("mode", "info")]


def test_the_umask_is_read_and_stays() -> None:
    before = os.umask(0o027)
    try:
        assert read_umask() == 0o027
        assert read_umask() == 0o027
    finally:
        os.umask(before)


# -- the set-group-ID bit of directories -------------------------------------------------------------------------------


@pytest.fixture
def directory_fd(tmp_path: Path) -> Iterator[int]:
    (tmp_path / "d").mkdir()
    (tmp_path / "d").chmod(0o2755)
    fd = os.open(tmp_path / "d", os.O_RDONLY)
    yield fd
    os.close(fd)


def test_a_directory_keeps_its_set_group_id_bit(directory_fd: int) -> None:
    FileAttributes().set_mode(directory_fd, 0o750, "d", is_configured=True)
    assert mode_of(directory_fd) == 0o2750


def test_a_directory_that_has_the_mode_is_not_changed(directory_fd: int, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse_all(monkeypatch, errno.EPERM)
    with capture_logs() as lines:
        FileAttributes().set_mode(directory_fd, 0o755, "d", is_configured=True)
    assert lines == []


@pytest.mark.parametrize("refusal", [None, errno.EOPNOTSUPP], ids=["with lists", "without lists"])
def test_a_sandbox_that_forbids_the_bit_does_not_remove_it(
    directory_fd: int, monkeypatch: pytest.MonkeyPatch, refusal: int | None
) -> None:
    real: Any = os.fchmod

    def fchmod(fd: int, mode: int) -> None:
        if mode & stat.S_ISGID:
            raise PermissionError(errno.EPERM, "forbidden")
        real(fd, mode)

    lists = Lists(monkeypatch, {})
    lists.refusal = refusal
    monkeypatch.setattr(os, "fchmod", fchmod)
    with capture_logs() as lines:
        FileAttributes().set_mode(directory_fd, 0o770, "d", is_configured=True)
    assert mode_of(directory_fd) == 0o2755
    if refusal is None:
        assert parse_acl(lists.found[ACCESS_ACL]) == make_acl(0o770)
    assert [line["log_level"] for line in lines] == ([] if refusal is None else ["warning"])
