"""Hints by LISTEN and NOTIFY."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
from structlog.testing import capture_logs
from support.postgres_server import PostgresServer
from support.waiting import wait_until
from support.wire import Wire

from downloadd.records.hints import MAX_HINT_IDS, Topic
from downloadd.records.postgres import hints as module
from downloadd.records.postgres.address import DatabaseAddress
from downloadd.records.postgres.hints import PostgresHints

Received = list[Sequence[str]]


@asynccontextmanager
async def listening(url: str, check_seconds: float = 5.0) -> AsyncIterator[tuple[PostgresHints, Received]]:
    """Open hints that are connected; yield what they receive from then on of the topic DESIRED."""
    received: Received = []
    hints = PostgresHints(DatabaseAddress(url), check_seconds=check_seconds)
    hints.subscribe(Topic.DESIRED, received.append)
    async with hints:
        # Some may have been missed before.
        await wait_until(lambda: received == [()])
        received.clear()
        yield hints, received


async def test_a_hint_reaches_the_other_nodes_and_not_its_sender(database: str) -> None:
    async with listening(database) as (first, own), listening(database) as (_, received):
        first.send(Topic.DESIRED, ["a"])
        first.send(Topic.ENDS)
        first.send(Topic.DESIRED, ["b"])
        await wait_until(lambda: received == [["a", "b"]])
        many = [f"{number:036}" for number in range(1000)]
        first.send(Topic.DESIRED, many)
        await wait_until(lambda: [id for ids in received[1:] for id in ids] == many)
        received.clear()
        first.send(Topic.DESIRED, [str(number) for number in range(MAX_HINT_IDS + 1)])
        await wait_until(lambda: received == [[]])
        assert own == []


async def test_after_a_lost_connection_everything_may_have_changed_and_hints_arrive_again(
    database: str, postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.01)
    name = database.removeprefix("postgresql:///").partition("?")[0]
    async with (
        Wire(postgres_server.port) as wire,
        listening(database) as (sender, _),
        listening(postgres_server.url(name, port=wire.port)) as (_, received),
    ):
        with capture_logs() as logs:
            wire.is_down = True
            wire.cut()
            await wait_until(lambda: [entry["event"] for entry in logs] == ["hints_unavailable"])
            wire.is_down = False
            await wait_until(lambda: received == [()])
        assert [entry["event"] for entry in logs] == ["hints_unavailable", "hints_available"]
        sender.send(Topic.DESIRED, ["a"])
        await wait_until(lambda: received == [(), ["a"]])


async def test_a_silent_connection_is_replaced(
    database: str, postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.01)
    name = database.removeprefix("postgresql:///").partition("?")[0]
    async with (
        Wire(postgres_server.port) as wire,
        listening(postgres_server.url(name, port=wire.port), check_seconds=0.2) as (_, received),
    ):
        wire.silent = b"pg_notify"
        await wait_until(lambda: wire.silenced == 1)
        wire.silent = None
        await wait_until(lambda: received == [()])


async def test_a_server_that_is_away_delays_neither_a_sender_nor_the_end(
    database: str, postgres_server: PostgresServer
) -> None:
    name = database.removeprefix("postgresql:///").partition("?")[0]
    async with (
        Wire(postgres_server.port) as wire,
        listening(postgres_server.url(name, port=wire.port)) as (hints, _),
    ):
        wire.is_down = True
        wire.cut()
        await asyncio.sleep(0)
        hints.send(Topic.ENDS)
