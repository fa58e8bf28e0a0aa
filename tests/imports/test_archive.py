"""Zip archives: limits, damage and unsafe names."""

import io
import json
import stat
import zipfile
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.import_files import EXPORT, links, packed, read, reasons

from downloadd.import_operation import ImportErrorCode, SkippedEntry
from downloadd.imports import archive, archive_entries
from downloadd.imports.refusal import ImportRefusedError


@pytest.mark.parametrize("name", ["../users.json", "/users.json", "a/../../b.json", "..\\b.json", "C:\\b.json", "C:b"])
def test_unsafe_names_are_refused(name: str) -> None:
    with pytest.raises(ImportRefusedError, match="leads outside"):
        read("slack", packed({"users.json": [], name: "x"}))


def test_an_encrypted_archive_is_refused() -> None:
    data = bytearray(packed({"users.json": "[]"}))
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(signature) + offset] |= 1
    with pytest.raises(ImportRefusedError, match="encrypted"):
        read("slack", bytes(data))


def test_an_entry_that_packs_well_is_no_bomb() -> None:
    day = [{"ts": "1", "text": "all is well " * 400, "user": "U1"}] * 4000
    items = read("slack", packed({**EXPORT, "general/2020-01-03.json": day}))
    assert len(links(items)) == 7


def test_a_bomb_is_refused_by_what_it_unpacks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive.Archive.__init__, "__kwdefaults__", {"max_unpacked": 1 << 20})
    with pytest.raises(ImportRefusedError, match="were unpacked") as refused:
        read("slack", packed({**EXPORT, "general/2020-01-03.json": b"[" + b" " * (2 << 20) + b"]"}))
    assert refused.value.code is ImportErrorCode.FILE_TOO_LARGE


def test_entries_that_overlap_are_refused() -> None:
    data = bytearray(packed({"users.json": [], "a.json": "x" * 50}))
    at = data.index(b"PK\x01\x02")
    data[at + 20 : at + 24] = (1 << 20).to_bytes(4, "little")
    with pytest.raises(ImportRefusedError, match="overlap"):
        read("slack", bytes(data))


def windows(members: dict[str, object]) -> bytes:
    """Return a zip whose names have backslashes, and an entry for a directory."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as target:
        for name, content in {"export/general/": "", **members}.items():
            info = zipfile.ZipInfo("x")
            info.filename = name.replace("/", "\\")
            target.writestr(info, content if isinstance(content, str) else json.dumps(content))
    return file.getvalue()


def test_names_with_backslashes_are_those_with_slashes() -> None:
    data = windows({f"export/{name}": content for name, content in EXPORT.items()})
    assert links(read("slack", data)) == links(read("slack", packed(EXPORT)))


def test_files_that_an_operating_system_adds_are_left_out() -> None:
    added = {"__MACOSX/._users.json": b"x", ".DS_Store": b"x", "general/Thumbs.db": b"x", "general/._1.json": b"x"}
    assert reasons(read("slack", packed({**EXPORT, **added}))) == reasons(read("slack", packed(EXPORT)))


def test_a_symbolic_link_is_no_file_and_is_reported() -> None:
    file = io.BytesIO(packed(EXPORT))
    with zipfile.ZipFile(file, "a") as target:
        info = zipfile.ZipInfo("general/2020-01-09.json")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        target.writestr(info, "2020-01-01.json")
    items = read("slack", file.getvalue())
    assert [item.entry for item in items if isinstance(item, SkippedEntry) and item.reason == "unknown_entry"] == [
        "general/2020-01-09.json"
    ]


def test_an_entry_that_a_later_one_of_its_name_replaces_is_reported() -> None:
    file = io.BytesIO(packed(EXPORT))
    with zipfile.ZipFile(file, "a") as target, pytest.warns(UserWarning, match="Duplicate name"):
        target.writestr("general/2020-01-01.json", "[]")
    items = read("slack", file.getvalue())
    assert "duplicate_entry" in reasons(items)
    assert [link.file_id for link in links(items)] == ["F8", "F9"]


def test_an_entry_that_is_longer_than_declared_is_damaged() -> None:
    data = packed({"users.json": "[" + "1," * 50_000 + "1]", "channels.json": []})
    place = data.index(b"PK\x01\x02")
    cut = bytearray(data)
    cut[place + 24 : place + 28] = (100).to_bytes(4, "little")
    with pytest.raises(ImportRefusedError):
        read("slack", bytes(cut))


def test_only_entries_that_are_read_are_limited_in_length(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive_entries, "MAX_ENTRY_BYTES", 10_000)
    tables = {"users.csv": "ann,a@example.com\n", "logs.txt": bytes(range(256)) * 100}
    assert read("csv", packed(tables))
    with pytest.raises(ImportRefusedError, match=r"general/1.csv.*too large"):
        read("csv", packed({**tables, "general/1.csv": "x" * 20_000}))


def test_a_damaged_day_does_not_hide_the_others() -> None:
    data = bytearray(packed(EXPORT))
    at = data.index(b"general/2020-01-01.json") + 60
    data[at : at + 4] = b"\xff\xff\xff\xff"
    items = read("slack", bytes(data))
    assert "damaged_entry" in reasons(items)
    assert [link.file_id for link in links(items)][-2:] == ["F8", "F9"]


def test_the_limits_of_the_directory_use_its_bytes_and_not_the_declared_numbers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = bytearray(packed({f"{number}.json": "[]" for number in range(6)}))
    end = data.rindex(b"PK\x05\x06")
    data[end + 8 : end + 12] = bytes(4)
    assert len(zipfile.ZipFile(io.BytesIO(data)).namelist()) == 6
    monkeypatch.setattr(archive, "MAX_ENTRIES", 5)
    with pytest.raises(ImportRefusedError, match="entries"):
        read("slack", bytes(data))
    monkeypatch.setattr(archive, "MAX_DIRECTORY_BYTES", 100)
    with pytest.raises(ImportRefusedError, match="directory of the archive"):
        read("slack", bytes(data))


def test_too_many_entries_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MAX_ENTRIES", 5)
    with pytest.raises(ImportRefusedError, match="entries"):
        read("slack", packed({f"{number}.json": "[]" for number in range(6)}))


@pytest.mark.parametrize("key", ["slack"])
@pytest.mark.parametrize("data", [b"", b"PK", b"nonsense" * 100, packed(EXPORT)[:-30], packed(EXPORT)[:200]])
def test_a_file_that_is_not_an_archive_is_refused(key: str, data: bytes) -> None:
    with pytest.raises(ImportRefusedError, match="zip"):
        read(key, data)


def packed_by(method: int) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as target:
        for name in ("users.json", "channels.json", "general/2020-01-01.json"):
            target.writestr(name, json.dumps(EXPORT[name]))
    return file.getvalue()


ARCHIVES = [
    packed_by(method) for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
]


@given(st.data())
def test_an_archive_with_any_bytes_changed_is_read_or_refused(data: st.DataObject) -> None:
    archive = bytearray(data.draw(st.sampled_from(ARCHIVES)))
    for _ in range(data.draw(st.integers(1, 3))):
        archive[data.draw(st.integers(0, len(archive) - 1))] = data.draw(st.integers(0, 255))
    with suppress(ImportRefusedError):
        read("slack", bytes(archive))


@pytest.mark.parametrize("archive", ARCHIVES, ids=["stored", "deflated", "bzip2", "lzma"])
def test_an_archive_with_any_one_byte_changed_is_read_or_refused(archive: bytes) -> None:
    for position in range(len(archive)):
        for value in (0, 255, archive[position] ^ 1):
            with suppress(ImportRefusedError):
                read("slack", archive[:position] + bytes([value]) + archive[position + 1 :])


def test_an_entry_without_a_name_is_not_a_file() -> None:
    # What the reader makes of a name that begins with NUL.
    archive = packed({**EXPORT, "~": b""}).replace(b"~", b"\0")
    with suppress(ImportRefusedError):
        assert links(read("slack", archive)) == links(read("slack", packed(EXPORT)))
