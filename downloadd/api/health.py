"""Whether the daemon hears, and what it counts."""

import asyncio
from collections.abc import Awaitable, Callable

import msgspec
from aiohttp import web
from multidict import CIMultiDict

from downloadd import __version__
from downloadd.api.answers import COMMON_FIELDS, answer
from downloadd.api.bodies import ErrorEntry, ErrorTable, Health
from downloadd.api.call import Call
from downloadd.api.engine import RequestMetrics
from downloadd.errors import ERRORS
from downloadd.metrics import Moment


class HealthEndpoints:
    """For those who watch over the daemon; `observe` says what is so now."""

    def __init__(self, *, metrics: RequestMetrics, observe: Callable[[], Awaitable[Moment]]) -> None:
        self._observe = observe
        self._metrics = metrics

    async def health(self, call: Call) -> web.Response:
        """`GET /api/v1/health`: an answer at all is the message."""
        return answer(Health(status="ok", version=__version__))

    async def errors(self, call: Call) -> web.Response:
        """`GET /api/v1/errors`: the table of errors, for those who explain them to people."""
        return answer(ErrorTable(errors=[ErrorEntry(**msgspec.structs.asdict(row)) for row in ERRORS.values()]))

    async def metrics(self, call: Call) -> web.Response:
        """`GET /api/v1/metrics`: the Prometheus exposition."""
        moment, accept = await self._observe(), call.request.headers.get("Accept", "")
        # What is known of the process is read from /proc, and a thousand lines take their time.
        body, media_type = await asyncio.to_thread(self._metrics.render, moment, accept)
        fields = CIMultiDict(COMMON_FIELDS)
        fields["Content-Type"] = media_type
        return web.Response(body=body, headers=fields)
