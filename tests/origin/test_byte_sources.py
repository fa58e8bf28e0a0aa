"""Moves from a real socket to a real file."""

import errno
import os
import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from support.origin.tls import Authority

from downloadd.errors import NetworkError
from downloadd.origin import byte_sources
from downloadd.origin.byte_sources import CopyingSource, SplicingSource
from downloadd.storage.byte_source import ByteSource

Pair = tuple[socket.socket, ByteSource]
"""A sending socket, and the receiving end as a source."""


def connected_sockets() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        sender = socket.create_connection(server.getsockname())
        receiver, _ = server.accept()
    # Nagle's algorithm would delay bytes behind the session tickets of TLS.
    sender.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sender, receiver


def with_tls(sender: socket.socket, receiver: socket.socket) -> tuple[ssl.SSLSocket, ssl.SSLSocket]:
    """Return both ends after the handshake."""
    authority = Authority()
    served: list[ssl.SSLSocket] = []
    server = threading.Thread(
        target=lambda: served.append(authority.server_context().wrap_socket(sender, server_side=True))
    )
    server.start()
    client = authority.client_context().wrap_socket(receiver, server_hostname="127.0.0.1", suppress_ragged_eofs=False)
    server.join()
    return served[0], client


@pytest.fixture(
    params=["splice", "no splice", "no splice from this socket", "no splice in this sandbox", "copy", "tls"]
)
def pair(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pair]:
    if request.param == "no splice":
        monkeypatch.delattr(os, "splice")
    elif request.param != "splice":
        number = errno.EPERM if request.param == "no splice in this sandbox" else errno.EINVAL

        def refuse(*_: object, **__: object) -> int:
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(os, "splice", refuse)
    sender, receiver = connected_sockets()
    if request.param == "tls":
        sender, receiver = with_tls(sender, receiver)
    receiver.setblocking(False)
    splicing = None if request.param in {"copy", "tls"} else SplicingSource(receiver.fileno())
    yield sender, splicing or CopyingSource(receiver)
    sender.close()
    receiver.close()
    if splicing is not None:
        splicing.close()


@pytest.fixture
def target(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    yield fd
    os.close(fd)


def ignore(data: memoryview, offset: int) -> None:
    pass


def end_stream(sender: socket.socket) -> None:
    """End the stream in order: over TLS with its closure alert."""
    if isinstance(sender, ssl.SSLSocket):
        sender.setblocking(False)
        with suppress(ssl.SSLWantReadError):
            sender.unwrap()
    sender.shutdown(socket.SHUT_WR)


def test_bytes_are_moved_to_their_offset_and_no_more_than_requested(pair: Pair, target: int) -> None:
    sender, source = pair
    sender.sendall(b"abcdef")
    moved = source.move_to(target, 2, 4, ignore)
    assert (moved.nbytes, moved.is_eof) == (4, False)
    assert os.pread(target, 10, 0) == b"\0\0abcd"
    assert source.move_to(target, 6, 4, ignore).nbytes == 2
    assert os.pread(target, 10, 0) == b"\0\0abcdef"


def test_an_empty_socket_returns_at_once_and_a_closed_one_reports_its_end(pair: Pair, target: int) -> None:
    sender, source = pair
    moved = source.move_to(target, 0, 10, ignore)
    assert (moved.nbytes, moved.is_eof) == (0, False)
    sender.sendall(b"abc")
    end_stream(sender)
    moved = source.move_to(target, 0, 10, ignore)
    received = moved.nbytes
    if not moved.is_eof:
        moved = source.move_to(target, received, 10, ignore)
    assert (received, moved.is_eof) == (3, True)


def test_a_reset_is_a_network_error(pair: Pair, target: int) -> None:
    sender, source = pair
    sender.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sender.close()
    with pytest.raises(NetworkError, match=r"connection failed: Connection reset by peer|TLS connection was cut"):
        source.move_to(target, 0, 10, ignore)


def test_a_call_ends_after_its_time(pair: Pair, target: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(byte_sources, "MAX_MOVE_SECONDS", 0.0)
    sender, source = pair
    sender.sendall(b"abc")
    assert source.move_to(target, 0, 10, ignore).nbytes == 0


def test_a_file_that_cannot_be_written_is_an_error_of_the_system(pair: Pair, tmp_path: Path) -> None:
    sender, source = pair
    (tmp_path / "read-only").touch()
    fd = os.open(tmp_path / "read-only", os.O_RDONLY)
    sender.sendall(b"abc")
    try:
        with pytest.raises(OSError, match="Bad file descriptor"):
            source.move_to(fd, 0, 10, ignore)
    finally:
        os.close(fd)


def test_many_bytes_arrive_as_they_were_sent(pair: Pair, target: int) -> None:
    sender, source = pair
    content = os.urandom(3_000_000)
    sending = threading.Thread(target=sender.sendall, args=(content,))
    sending.start()
    received = 0
    while received < len(content):
        received += source.move_to(target, received, len(content) - received, ignore).nbytes
    sending.join()
    assert os.pread(target, len(content) + 1, 0) == content


def test_copied_bytes_are_passed_on_in_order(target: int) -> None:
    content = os.urandom(200_000)
    sender, receiver = connected_sockets()
    with sender, receiver:
        receiver.setblocking(False)
        sending = threading.Thread(target=sender.sendall, args=(content,))
        sending.start()
        seen: list[tuple[bytes, int]] = []
        received = 0
        while received < len(content):
            moved = CopyingSource(receiver).move_to(
                target, 7 + received, len(content), lambda data, offset: seen.append((bytes(data), offset))
            )
            received += moved.nbytes
        sending.join()
    assert b"".join(data for data, _ in seen) == content
    assert [offset for _, offset in seen] == [7 + sum(len(data) for data, _ in seen[:at]) for at in range(len(seen))]


def test_tls_that_is_cut_is_not_an_orderly_end(target: int) -> None:
    sender, receiver = with_tls(*connected_sockets())
    with receiver:
        receiver.setblocking(False)
        sender.sendall(b"abc")
        assert CopyingSource(receiver).move_to(target, 0, 10, ignore).nbytes == 3
        # Without the closure alert.
        socket.socket(fileno=sender.detach()).close()
        with pytest.raises(NetworkError, match="TLS connection was cut"):
            CopyingSource(receiver).move_to(target, 3, 10, ignore)
