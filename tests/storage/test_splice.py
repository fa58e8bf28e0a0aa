"""Transfer from a real socket to a real file."""

import errno
import os
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from downloadd.errors import NetworkError
from downloadd.storage import splice
from downloadd.storage.splice import SocketSource


@pytest.fixture(params=["splice", "no splice", "no splice from this socket", "no splice in this sandbox"])
def pair(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[socket.socket, SocketSource]]:
    """Return a sending socket, and the receiving end as a source."""
    if request.param == "no splice":
        monkeypatch.delattr(os, "splice")
    elif request.param != "splice":
        number = errno.EPERM if request.param == "no splice in this sandbox" else errno.EINVAL

        def refuse(*_: object, **__: object) -> int:
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(os, "splice", refuse)
    with socket.create_server(("127.0.0.1", 0)) as server:
        sender = socket.create_connection(server.getsockname())
        receiver, _ = server.accept()
    receiver.setblocking(False)
    source = SocketSource(receiver.detach())
    yield sender, source
    sender.close()
    source.close()


@pytest.fixture
def target(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    yield fd
    os.close(fd)


def test_bytes_are_moved_to_their_offset_and_no_more_than_requested(
    pair: tuple[socket.socket, SocketSource], target: int
) -> None:
    sender, source = pair
    sender.sendall(b"abcdef")
    moved = source.splice(target, 2, 4)
    assert (moved.nbytes, moved.is_eof) == (4, False)
    assert os.pread(target, 10, 0) == b"\0\0abcd"
    assert source.splice(target, 6, 4).nbytes == 2
    assert os.pread(target, 10, 0) == b"\0\0abcdef"


def test_an_empty_socket_returns_at_once_and_a_closed_one_reports_its_end(
    pair: tuple[socket.socket, SocketSource], target: int
) -> None:
    sender, source = pair
    moved = source.splice(target, 0, 10)
    assert (moved.nbytes, moved.is_eof) == (0, False)
    sender.sendall(b"abc")
    sender.shutdown(socket.SHUT_WR)
    moved = source.splice(target, 0, 10)
    assert (moved.nbytes, moved.is_eof) == (3, True)


def test_a_reset_is_a_network_error(pair: tuple[socket.socket, SocketSource], target: int) -> None:
    sender, source = pair
    sender.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sender.close()
    with pytest.raises(NetworkError, match="the connection failed: Connection reset by peer"):
        source.splice(target, 0, 10)


def test_a_call_ends_after_its_time(
    pair: tuple[socket.socket, SocketSource], target: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(splice, "MAX_SPLICE_SECONDS", 0.0)
    sender, source = pair
    sender.sendall(b"abc")
    assert source.splice(target, 0, 10).nbytes == 0


def test_a_file_that_cannot_be_written_is_an_error_of_the_system(
    pair: tuple[socket.socket, SocketSource], tmp_path: Path
) -> None:
    sender, source = pair
    (tmp_path / "read-only").touch()
    fd = os.open(tmp_path / "read-only", os.O_RDONLY)
    sender.sendall(b"abc")
    try:
        with pytest.raises(OSError, match="Bad file descriptor"):
            source.splice(fd, 0, 10)
    finally:
        os.close(fd)
