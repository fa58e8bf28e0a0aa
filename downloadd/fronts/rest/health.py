"""Whether the daemon hears, and what it counts."""

import asyncio
from collections.abc import Awaitable, Callable

import msgspec
from aiohttp import web
from multidict import CIMultiDict

from downloadd import __version__
from downloadd.errors import ERRORS
from downloadd.fronts.rest.request_context import RequestContext
from downloadd.fronts.rest.responses import COMMON_FIELDS, json_response
from downloadd.fronts.rest.schemas import ErrorEntry, ErrorTable, Health
from downloadd.fronts.rest.service import RequestMetrics
from downloadd.metrics import GaugeSnapshot


class MonitoringEndpoints:
    """For those who watch over the daemon; `collect_gauges` says what is so now."""

    def __init__(self, *, metrics: RequestMetrics, collect_gauges: Callable[[], Awaitable[GaugeSnapshot]]) -> None:
        self._collect_gauges = collect_gauges
        self._metrics = metrics

    async def health(self, context: RequestContext) -> web.Response:
        """`GET /api/v1/health`: an answer at all is the message."""
        return json_response(Health(status="ok", version=__version__))

    async def errors(self, context: RequestContext) -> web.Response:
        """`GET /api/v1/errors`: the table of errors, for those who explain them to people."""
        rows = [msgspec.convert(kind, ErrorEntry, from_attributes=True) for kind in ERRORS.values()]
        return json_response(ErrorTable(errors=rows))

    async def metrics(self, context: RequestContext) -> web.Response:
        """`GET /api/v1/metrics`: the Prometheus exposition."""
        gauges, accept = await self._collect_gauges(), context.request.headers.get("Accept", "")
        # What is known of the process is read from /proc, and a thousand lines take their time.
        body, media_type = await asyncio.to_thread(self._metrics.render, gauges, accept)
        fields = CIMultiDict(COMMON_FIELDS)
        fields["Content-Type"] = media_type
        return web.Response(body=body, headers=fields)
