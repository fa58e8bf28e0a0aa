"""Idle connections, on real sockets."""

import asyncio
import socket
from collections.abc import Iterator

import pytest
from support.clocks import ManualClock
from support.waiting import CONDITION_TIMEOUT

from downloadd.origin import pool as pool_module
from downloadd.origin.pool import MAX_IDLE_SECONDS, ConnectionPool
from downloadd.origin.stream import Stream


class Ends:
    """Streams, and the other ends of their connections."""

    def __init__(self) -> None:
        self.peers: dict[Stream, socket.socket] = {}

    def open(self, peer: str = "127.0.0.1") -> Stream:
        near, far = socket.socketpair()
        near.setblocking(False)
        stream = Stream(near, peer=peer)
        self.peers[stream] = far
        return stream

    def close(self) -> None:
        for stream, far in self.peers.items():
            stream.close()
            far.close()


@pytest.fixture
def ends() -> Iterator[Ends]:
    ends = Ends()
    yield ends
    ends.close()


def make_pool(clock: ManualClock | None = None) -> ConnectionPool:
    return ConnectionPool(clock or ManualClock(), may_use=lambda stream: stream.peer == "127.0.0.1")


def is_closed(stream: Stream) -> bool:
    return stream.socket.fileno() == -1


async def test_the_connection_that_was_used_last_is_used_first_and_once(ends: Ends) -> None:
    pool, first, second = make_pool(), ends.open(), ends.open()
    for stream in (first, second):
        pool.release("a", stream)
    assert len(pool) == 2
    assert [pool.acquire("a") for _ in range(3)] == [second, first, None]
    assert len(pool) == 0


async def test_another_key_has_other_connections(ends: Ends) -> None:
    pool = make_pool()
    pool.release("a", ends.open())
    assert pool.acquire("b") is None
    pool.close()


@pytest.mark.parametrize("end", ["closed", "surplus", "empty line"])
@pytest.mark.parametrize("when", ["before", "while"])
async def test_a_connection_that_is_closed_or_not_silent_is_not_reused(ends: Ends, end: str, when: str) -> None:
    pool, stream = make_pool(), ends.open()
    if when == "while":
        pool.release("a", stream)
    far = ends.peers[stream]
    if end == "closed":
        far.close()
    else:
        far.sendall(b"\r\n" if end == "empty line" else b"HTTP/1.1 200 OK\r\n")
    if when == "before":
        pool.release("a", stream)
    assert pool.acquire("a") is None
    assert is_closed(stream)


async def test_a_connection_whose_address_is_forbidden_by_now_is_not_reused(ends: Ends) -> None:
    pool, forbidden = make_pool(), ends.open("10.0.0.1")
    allowed = ends.open()
    pool.release("a", allowed)
    pool.release("a", forbidden)
    assert pool.acquire("a") is allowed
    assert is_closed(forbidden)


async def test_idle_connections_are_closed_after_a_while(ends: Ends, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "MAX_IDLE_SECONDS", 0.05)
    clock = ManualClock()
    pool, old, young = make_pool(clock), ends.open(), ends.open()
    pool.release("a", old)
    clock.now += 0.04
    pool.release("b", young)
    clock.now += 0.02
    async with asyncio.timeout(CONDITION_TIMEOUT):
        while not is_closed(old):
            await asyncio.sleep(0.01)
    assert not is_closed(young)
    clock.now += 1
    async with asyncio.timeout(CONDITION_TIMEOUT):
        while not is_closed(young):
            await asyncio.sleep(0.01)
    assert len(pool) == 0


async def test_the_oldest_one_is_closed_when_there_are_too_many(ends: Ends, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "MAX_IDLE_CONNECTIONS", 2)
    pool, streams = make_pool(), [ends.open() for _ in range(3)]
    for number, stream in enumerate(streams):
        pool.release(number, stream)
    assert [is_closed(stream) for stream in streams] == [True, False, False]
    pool.close()
    assert all(map(is_closed, streams))


def test_idle_connections_are_not_kept_longer_than_servers_keep_them() -> None:
    assert MAX_IDLE_SECONDS <= 15
