import asyncio
import socket
import threading

import pytest
import uvloop
from support.waiting import CONDITION_TIMEOUT

from downloadd.policy.resolver import MAX_DNS_THREADS, SystemResolver


async def test_names_become_addresses() -> None:
    resolver = SystemResolver()
    assert (socket.AF_INET, "127.0.0.1") in await resolver.look_up("localhost")
    await resolver.close()


async def test_names_become_addresses_in_the_form_of_aiohttp() -> None:
    resolver = SystemResolver()
    found = await resolver.resolve("localhost", 8080, socket.AF_INET)
    assert [(each["hostname"], each["host"], each["port"]) for each in found] == [("localhost", "127.0.0.1", 8080)]
    await resolver.close()


async def test_an_unknown_name_is_an_error() -> None:
    resolver = SystemResolver()
    with pytest.raises(socket.gaierror):
        await resolver.look_up("nobody.invalid")
    await resolver.close()


def test_lookups_that_hang_do_not_delay_others(monkeypatch: pytest.MonkeyPatch) -> None:
    let_go = threading.Event()

    def look_up(host: str, port: int, **_: object) -> object:
        # No name server that hangs can stand here without a network of our own.
        if host.startswith("hanging"):
            let_go.wait(2 * CONDITION_TIMEOUT)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", port))]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)

    async def ask() -> None:
        resolver = SystemResolver()
        async with asyncio.TaskGroup() as group:
            for number in range(MAX_DNS_THREADS - 1):
                group.create_task(resolver.look_up(f"hanging-{number}.example"))
            await asyncio.sleep(0)
            try:
                async with asyncio.timeout(CONDITION_TIMEOUT):
                    found = await resolver.look_up("quick.example")
            finally:
                let_go.set()
        assert found == [(socket.AF_INET, "192.0.2.1")]
        await resolver.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(ask())


async def test_addresses_that_need_a_zone_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def look_up(host: str, port: int, **_: object) -> object:
        return [
            (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("fe80::1", port, 0, 2)),
            (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("2001:db8::1", port, 0, 0)),
        ]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    resolver = SystemResolver()
    assert await resolver.look_up("a.example") == [(socket.AF_INET6, "2001:db8::1")]
    await resolver.close()


async def test_closing_does_not_wait_for_lookups(monkeypatch: pytest.MonkeyPatch) -> None:
    let_go = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: let_go.wait(2 * CONDITION_TIMEOUT) and [])
    resolver = SystemResolver()
    asking = asyncio.create_task(resolver.look_up("hanging.example"))
    await asyncio.sleep(0)
    async with asyncio.timeout(CONDITION_TIMEOUT):
        await resolver.close()
    let_go.set()
    assert await asking == []
