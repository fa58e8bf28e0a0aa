"""Work that ends when its client disconnects."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiohttp import web

from downloadd.fronts.rest.disconnection import run_while_connected


def request_on(connection: object) -> web.BaseRequest:
    return cast(web.BaseRequest, SimpleNamespace(protocol=connection))


@pytest.fixture
def connection() -> Any:
    """A connection that is open."""
    return SimpleNamespace(transport=object(), on_lost=None)


async def test_the_result_of_the_work_is_returned(connection: Any) -> None:
    async def work() -> int:
        await asyncio.sleep(0)
        return 7

    assert await run_while_connected(request_on(connection), work()) == 7
    assert connection.on_lost is None


@pytest.mark.parametrize("error", [ValueError("wrong"), TimeoutError("its own")])
async def test_an_error_of_the_work_is_raised(connection: Any, error: Exception) -> None:
    async def work() -> None:
        raise error

    with pytest.raises(type(error)) as caught:
        await run_while_connected(request_on(connection), work())
    assert caught.value is error
    assert connection.on_lost is None


async def test_the_work_is_cancelled_when_the_connection_is_lost(connection: Any) -> None:
    has_started, was_cancelled = asyncio.Event(), False

    async def work() -> None:
        nonlocal was_cancelled
        has_started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            was_cancelled = True
            raise

    running = asyncio.create_task(run_while_connected(request_on(connection), work()))
    await has_started.wait()
    connection.on_lost()
    with pytest.raises(ConnectionError):
        await running
    assert was_cancelled
    assert connection.on_lost is None


async def test_work_for_a_client_that_has_left_already_ends_at_its_first_wait(connection: Any) -> None:
    connection.transport = None
    with pytest.raises(ConnectionError):
        await run_while_connected(request_on(connection), asyncio.Event().wait())
