"""Contract of a `ByteSource`, for each implementation."""

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from support.protocol_methods import differences

from downloadd.origin.byte_sources import CopyingSource, SplicingSource
from downloadd.storage.byte_source import ByteSource, MoveResult

MakeSource = Callable[[socket.socket, ExitStack], ByteSource]


def splicing(receiver: socket.socket, stack: ExitStack) -> ByteSource:
    source = SplicingSource(receiver.fileno())
    stack.callback(source.close)
    return source


def copying(receiver: socket.socket, stack: ExitStack) -> ByteSource:
    return CopyingSource(receiver)


@pytest.fixture
def target(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path / "f", os.O_RDWR | os.O_CREAT)
    yield fd
    os.close(fd)


@pytest.mark.parametrize("implementation", [CopyingSource, SplicingSource])
def test_an_implementation_has_the_method_of_the_interface(implementation: type) -> None:
    assert list(differences(ByteSource, implementation)) == []


@pytest.mark.parametrize("make", [splicing, copying])
def test_bytes_are_moved_to_their_offset_up_to_a_number_and_to_the_end(make: MakeSource, target: int) -> None:
    seen: list[tuple[bytes, int]] = []

    def record(data: memoryview, offset: int) -> None:
        seen.append((bytes(data), offset))

    with ExitStack() as stack:
        sender, receiver = (stack.enter_context(end) for end in socket.socketpair())
        receiver.setblocking(False)
        source = make(receiver, stack)
        assert source.move_to(target, 2, 10, record) == MoveResult(nbytes=0, is_eof=False)
        sender.sendall(b"abcdef")
        sender.close()
        assert source.move_to(target, 2, 4, record).nbytes == 4
        moved = source.move_to(target, 6, 10, record)
        last = moved if moved.is_eof else source.move_to(target, 6 + moved.nbytes, 10, record)
        assert (moved.nbytes, last.is_eof) == (2, True)
    assert os.pread(target, 99, 0) == b"\0\0abcdef"
    # Bytes that entered this process are reported, each once.
    assert b"".join(data for data, _ in seen) in {b"", b"abcdef"}
    assert [offset for _, offset in seen] == sorted({offset for _, offset in seen})
