"""Tar archives: limits, damage and unsafe names."""

import gzip
import io
import tarfile
from collections.abc import Mapping
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from downloadd.imports import archive_entries, tar_archive
from downloadd.imports.refusal import ImportRefusedError
from downloadd.imports.tar_archive import TarArchive

MEMBERS = {"e/a.json": b"[]", "e/uploads/b": bytes(range(256)) * 2000, "e/" + "long" * 60: b"c"}


def tarred(members: Mapping[str, bytes] = MEMBERS, *, mode: str = "w:gz", kind: bytes = tarfile.REGTYPE) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode) as target:  # type: ignore[call-overload]
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.type, info.size = kind, len(content)
            target.addfile(info, io.BytesIO(content))
    return file.getvalue()


def read_all(data: bytes) -> list[bytes]:
    with TarArchive(io.BytesIO(data)) as archive:
        return [archive.read(name) for name in archive.names]


@pytest.mark.parametrize("mode", ["w:gz", "w"])
def test_files_are_read_in_any_order(mode: str) -> None:
    with TarArchive(io.BytesIO(tarred(mode=mode))) as archive:
        assert archive.names == tuple(MEMBERS)
        for name in (*MEMBERS, *reversed(MEMBERS)):
            assert archive.read(name) == MEMBERS[name]
            assert archive.size(name) == len(MEMBERS[name])
        assert (archive.read("nothing"), "nothing" in archive, archive.position("nothing")) == (b"", False, 0)


@pytest.mark.parametrize("name", ["../a", "/a", "a/../../b", "C:\\a"])
def test_unsafe_names_are_refused(name: str) -> None:
    with pytest.raises(ImportRefusedError, match="leads outside"):
        TarArchive(io.BytesIO(tarred({name: b"x"})))


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_links_and_devices_are_no_files(kind: bytes) -> None:
    archive = TarArchive(io.BytesIO(tarred({"a": b"", ".DS_Store": b""}, kind=kind)))
    assert (archive.names, archive.specials) == ((), ["a"])


def test_a_directory_is_not_reported() -> None:
    archive = TarArchive(io.BytesIO(tarred({"a/": b""}, kind=tarfile.DIRTYPE)))
    assert (archive.names, archive.specials) == ((), [])


@pytest.mark.parametrize("target", ["e/a.json", "./e/a.json"])
def test_a_hard_link_is_the_file_that_it_names(target: str) -> None:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        info = tarfile.TarInfo("e/a.json")
        info.size = 3
        tar.addfile(info, io.BytesIO(b"abc"))
        info = tarfile.TarInfo("e/b.json")
        info.type, info.linkname = tarfile.LNKTYPE, target
        tar.addfile(info)
    with TarArchive(io.BytesIO(file.getvalue())) as archive:
        assert (archive.names, archive.specials) == (("e/a.json", "e/b.json"), [])
        assert archive.read("e/b.json") == b"abc"


def test_the_last_of_two_entries_of_one_name_is_used() -> None:
    first = tarred({"a": b"old"}, mode="w")[:1024]
    with TarArchive(io.BytesIO(first + tarred({"a": b"new"}, mode="w"))) as archive:
        assert (archive.read("a"), archive.duplicates) == (b"new", ["a"])


def test_a_bomb_is_refused_by_what_it_unpacks() -> None:
    with pytest.raises(ImportRefusedError, match="unpacks"):
        TarArchive(io.BytesIO(tarred({"a": bytes(5 << 20)})), max_unpacked=1 << 20)


def test_a_header_that_would_fill_the_memory_is_refused() -> None:
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 1 << 32
    with pytest.raises(ImportRefusedError, match="header"):
        TarArchive(io.BytesIO(gzip.compress(info.tobuf() + bytes(4096))))


def test_too_many_entries_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tar_archive, "MAX_ENTRIES", 2)
    with pytest.raises(ImportRefusedError, match="entries"):
        TarArchive(io.BytesIO(tarred()))


def test_a_file_that_is_too_long_is_not_read_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive_entries, "MAX_ENTRY_BYTES", 10)
    with TarArchive(io.BytesIO(tarred())) as archive:
        with pytest.raises(ImportRefusedError, match="too large"):
            archive.read("e/uploads/b")
        assert sum(map(len, archive.pieces("e/uploads/b"))) == len(MEMBERS["e/uploads/b"])


@pytest.mark.parametrize("data", [b"", b"nonsense" * 100, tarred()[:-200], tarred(mode="w")[:700], b"\x1f\x8b"])
def test_a_file_that_is_no_archive_or_truncated_is_refused(data: bytes) -> None:
    with pytest.raises(ImportRefusedError):
        read_all(data)


@given(st.data())
def test_an_archive_with_any_bytes_changed_is_read_or_refused(data: st.DataObject) -> None:
    archive = bytearray(tarred({"a": b"x" * 100, "b": b"y"}, mode=data.draw(st.sampled_from(["w", "w:gz"]))))
    for _ in range(data.draw(st.integers(1, 3))):
        archive[data.draw(st.integers(0, len(archive) - 1))] = data.draw(st.integers(0, 255))
    with suppress(ImportRefusedError):
        read_all(bytes(archive))
