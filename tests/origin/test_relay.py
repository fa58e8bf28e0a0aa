"""Relay between a stream and a socket pair."""

import asyncio
import socket

import pytest

from downloadd.origin.relay import Relays
from downloadd.origin.stream import Stream


def open_pair() -> tuple[Stream, Stream]:
    ends = socket.socketpair()
    for end in ends:
        end.setblocking(False)
    near, far = (Stream(end, peer="192.0.2.1") for end in ends)
    return near, far


async def test_bytes_are_relayed_in_both_directions() -> None:
    relays, (stream, far) = Relays(), open_pair()
    relayed = relays.start(stream)
    assert relayed.peer == "192.0.2.1"
    size = 3 << 20
    sending = asyncio.create_task(relayed.send(bytes(size), timeout=5))
    received = 0
    while received < size:
        received += len(await far.receive(1 << 20, timeout=5))
    await sending
    await far.send(b"answer", timeout=5)
    assert await relayed.receive(100, timeout=5) == b"answer"
    relayed.close()
    assert await far.receive(1, timeout=5) == b""
    far.close()
    await relays.close()


async def test_the_last_bytes_arrive_before_the_end() -> None:
    relays, (stream, far) = Relays(), open_pair()
    relayed = relays.start(stream)
    await far.send(b"last", timeout=5)
    far.close()
    assert await relayed.receive(100, timeout=5) == b"last"
    assert await relayed.receive(100, timeout=5) == b""
    relayed.close()
    await relays.close()


@pytest.mark.parametrize("ends_with", ["relayed", "close"])
async def test_both_connections_are_closed_at_the_end(ends_with: str) -> None:
    relays, (stream, far) = Relays(), open_pair()
    relayed = relays.start(stream)
    await asyncio.sleep(0)
    if ends_with == "relayed":
        relayed.close()
        assert await far.receive(1, timeout=5) == b""
    else:
        await relays.close()
        assert await relayed.receive(1, timeout=5) == b""
        relayed.close()
    assert stream.socket.fileno() == -1
    far.close()
