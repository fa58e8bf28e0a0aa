"""Digests that are computed while a file is written."""

import hashlib
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from downloadd.storage.local import LocalDestination
from downloadd.storage.names import parse_filename
from downloadd.storage.part_file import PartFile
from downloadd.storage.running_digests import RunningDigests

ID = "0f6a1c7e-5f0a-4c39-8a35-9c52ed1a6d7b"


@given(st.lists(st.lists(st.binary(max_size=20), max_size=4), max_size=6))
def test_bytes_in_order_give_their_digests(writes: list[list[bytes]]) -> None:
    digests = RunningDigests(["sha-256", "md5"])
    for pieces in writes:
        digests.update(pieces, digests.position)
    content = b"".join(piece for pieces in writes for piece in pieces)
    assert digests.position == len(content)
    assert digests.hexdigest("sha-256") == hashlib.sha256(content).hexdigest()
    assert digests.hexdigest("md5") == hashlib.md5(content).hexdigest()


def test_bytes_at_another_offset_are_not_hashed() -> None:
    digests = RunningDigests(["sha-256"])
    digests.update([b"abc"], 0)
    digests.update([b"ghi"], 6)
    digests.update([b"abc"], 0)
    assert digests.position == 3
    assert digests.hexdigest("sha-256") == hashlib.sha256(b"abc").hexdigest()


@pytest.fixture
def read_sizes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Record the bytes of every read of a file."""
    counted: list[int] = []
    real = os.preadv

    def preadv(fd: int, buffers: list[memoryview], offset: int) -> int:
        counted.append(real(fd, buffers, offset))
        return counted[-1]

    monkeypatch.setattr(os, "preadv", preadv)
    return counted


async def part_of(destination: LocalDestination, existing: str | None = None, epoch: int = 1) -> PartFile:
    return await destination.open_part(
        directory="", filename=parse_filename("f"), download_id=ID, epoch=epoch, existing=existing
    )


async def test_bytes_hashed_while_written_are_not_read_again(tmp_path: Path, read_sizes: list[int]) -> None:
    async with LocalDestination(tmp_path, min_free=0, fsync=False) as destination:
        part = await part_of(destination)
        part.hash_while_writing(["sha-256"])
        await part.write([b"abc", b"def"], 0)
        await part.write([b"ghi"], 6)
        assert await part.digest("sha-256") == hashlib.sha256(b"abcdefghi").hexdigest()
        assert read_sizes == []
        # Another algorithm has to read it.
        assert await part.digest("md5") == hashlib.md5(b"abcdefghi").hexdigest()
        assert read_sizes == [9]
        await part.close()


async def test_a_resumed_part_is_read_once(tmp_path: Path, read_sizes: list[int]) -> None:
    async with LocalDestination(tmp_path, min_free=0, fsync=False) as destination:
        earlier = await part_of(destination)
        await earlier.write([b"abc"], 0)
        await earlier.close()
        part = await part_of(destination, existing=earlier.name, epoch=2)
        part.hash_while_writing(["sha-256"])
        await part.write([b"def"], 3)
        assert await part.digest("sha-256") == hashlib.sha256(b"abcdef").hexdigest()
        assert sum(read_sizes) == 6
        await part.close()
