"""Zip archives: limits, damage and unsafe names."""

import io
import json
import zipfile
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.import_files import EXPORT, links, packed, read

from downloadd.import_operation import (
    ImportErrorCode,
    ImportItem,
)
from downloadd.imports import archive
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


def test_a_zip_bomb_is_refused_before_it_is_unpacked() -> None:
    with pytest.raises(ImportRefusedError, match="bomb") as refused:
        read("slack", packed({"users.json": b" " * (20 << 20)}))
    assert refused.value.code is ImportErrorCode.FILE_TOO_LARGE


def test_an_entry_that_is_longer_than_declared_is_damaged() -> None:
    data = packed({"users.json": "[]", "general/1.json": b"[" + b"1," * 50_000 + b"1]"})
    place = data.rindex(b"PK\x01\x02")
    cut = bytearray(data)
    cut[place + 24 : place + 28] = (100).to_bytes(4, "little")
    items: list[ImportItem] = []
    with pytest.raises(ImportRefusedError):
        items = read("slack", bytes(cut).replace(b"users.json", b"other.json"))
    assert items == []


def test_only_entries_that_are_read_are_limited_in_length(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MAX_ENTRY_BYTES", 10_000)
    logs = {"integration_logs.json": bytes(range(256)) * 100}
    assert len(links(read("slack", packed({**EXPORT, **logs})))) == 6
    day = {"general/2020-01-03.json": [{"text": "x" * 20_000}]}
    with pytest.raises(ImportRefusedError, match=r"2020-01-03.*too large"):
        read("slack", packed({**EXPORT, **day}))


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
