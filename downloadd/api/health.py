"""Whether the daemon hears, and what it counts."""

import msgspec
from aiohttp import web
from multidict import CIMultiDict

from downloadd import __version__
from downloadd.api.answers import COMMON_FIELDS, answer
from downloadd.api.bodies import ErrorEntry, ErrorTable, Health
from downloadd.api.call import Call
from downloadd.api.engine import Engine, RequestMetrics
from downloadd.errors import ERRORS


class HealthEndpoints:
    """For those who watch over the daemon."""

    def __init__(self, *, engine: Engine, metrics: RequestMetrics) -> None:
        self._engine = engine
        self._metrics = metrics

    async def health(self, call: Call) -> web.Response:
        """`GET /api/v1/health`: an answer at all is the message."""
        return answer(Health(status="ok", version=__version__))

    async def errors(self, call: Call) -> web.Response:
        """`GET /api/v1/errors`: the table of errors, for those who explain them to people."""
        return answer(ErrorTable(errors=[ErrorEntry(**msgspec.structs.asdict(row)) for row in ERRORS.values()]))

    async def metrics(self, call: Call) -> web.Response:
        """`GET /api/v1/metrics`: the Prometheus exposition."""
        body, media_type = self._metrics.render(await self._engine.counts(), call.request.headers.get("Accept", ""))
        fields = CIMultiDict(COMMON_FIELDS)
        fields["Content-Type"] = media_type
        return web.Response(body=body, headers=fields)
