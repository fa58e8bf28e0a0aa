"""Health, error table, metrics and the storage root."""

import asyncio
from collections.abc import Awaitable, Callable

import msgspec
from aiohttp import web
from multidict import CIMultiDict

from downloadd import __version__
from downloadd.errors import ERRORS, DownloadError
from downloadd.fronts.rest.request_context import RequestContext
from downloadd.fronts.rest.request_metrics import RequestMetrics
from downloadd.fronts.rest.responses import COMMON_FIELDS, json_response
from downloadd.fronts.rest.schemas import ErrorEntry, ErrorTable, Health, StorageResponse
from downloadd.metrics import GaugeSnapshot
from downloadd.service import DownloadService


class MonitoringEndpoints:
    """Handlers for the monitoring of the daemon.

    Args:
        service: the downloads.
        metrics: the counters of requests.
        collect_gauges: returns the present values.
        node_problem: returns the error to answer with while the daemon cannot work or stops; None if it works.
        storage_problem: returns why the storage suspends the queue, in words; None if it does not.
    """

    def __init__(
        self,
        *,
        service: DownloadService,
        metrics: RequestMetrics,
        collect_gauges: Callable[[], Awaitable[GaugeSnapshot]],
        node_problem: Callable[[], DownloadError | None],
        storage_problem: Callable[[], str | None],
    ) -> None:
        self._service = service
        self._node_problem = node_problem
        self._storage_problem = storage_problem
        self._collect_gauges = collect_gauges
        self._metrics = metrics

    async def health(self, context: RequestContext) -> web.Response:
        """Return 200 with the version, for `GET /api/v1/health`.

        Raises:
            StoreUnavailableError: the node lost its lease.
            ShuttingDownError: the daemon stops.
        """
        problem = self._node_problem()
        if problem is not None:
            raise problem
        return json_response(Health(status="ok", version=__version__, storage=self._storage_problem() or "ok"))

    async def accept_storage(self, context: RequestContext) -> web.Response:
        """Use the storage root that is there from now on, for `POST /api/v1/storage/accept`."""
        identity = await self._service.accept_storage(context.user)
        return json_response(
            StorageResponse(
                filesystem=identity.filesystem,
                device=identity.device,
                success=True,
                message="The storage root is used from now on",
            )
        )

    async def errors(self, context: RequestContext) -> web.Response:
        """Return the table of errors, for `GET /api/v1/errors`."""
        rows = [msgspec.convert(kind, ErrorEntry, from_attributes=True) for kind in ERRORS.values()]
        return json_response(ErrorTable(errors=rows))

    async def metrics(self, context: RequestContext) -> web.Response:
        """Return the Prometheus exposition, for `GET /api/v1/metrics`."""
        gauges, accept = await self._collect_gauges(), context.request.headers.get("Accept", "")
        # The metrics of the process are read from /proc, and rendering a thousand lines takes time.
        body, media_type = await asyncio.to_thread(self._metrics.render, gauges, accept)
        fields = CIMultiDict(COMMON_FIELDS)
        fields["Content-Type"] = media_type
        return web.Response(body=body, headers=fields)
