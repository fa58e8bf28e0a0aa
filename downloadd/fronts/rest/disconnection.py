"""Work for one client, which ends when the client disconnects."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar, cast

from aiohttp import web

from downloadd.fronts.rest.server import ApiConnection

T = TypeVar("T")


async def run_while_connected(request: web.BaseRequest, work: Awaitable[T]) -> T:
    """Return the result of some work; cancel it when the connection of the request is lost.

    Raises:
        ConnectionError: the client has disconnected.
    """
    connection = cast("ApiConnection", request.protocol)
    loop = asyncio.get_running_loop()
    limit = asyncio.timeout(None)
    try:
        async with limit:
            connection.on_lost = lambda: limit.reschedule(loop.time())
            if connection.transport is None:
                connection.on_lost()
            return await work
    except TimeoutError:
        if not limit.expired():
            raise
        raise ConnectionError("the client has disconnected") from None
    finally:
        connection.on_lost = None
