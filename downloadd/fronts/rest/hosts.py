"""`GET /api/v1/hosts`: the health of the origins that downloads wait for or run from."""

from typing import Final

from aiohttp import web

from downloadd.fronts.rest.query_decoding import QueryDecoder
from downloadd.fronts.rest.request_context import RequestContext
from downloadd.fronts.rest.responses import json_response
from downloadd.fronts.rest.schemas import HostEntry, Hosts, HostsQuery
from downloadd.manager.queue_report import OriginStatus
from downloadd.views import DownloadViews

QUERY_DECODER: Final = QueryDecoder(HostsQuery)
"""Decoder of the query."""


class HostsEndpoint:
    """Handler of the listing of origins."""

    def __init__(self, views: DownloadViews) -> None:
        self._views = views

    async def listing(self, context: RequestContext) -> web.Response:
        """Return the origins in use or in trouble, those in trouble first."""
        query = QUERY_DECODER.decode(context.query)
        found = await self._views.origins(context.user, query.limit)
        return json_response(Hosts(hosts=[make_host_entry(one) for one in found.origins], total=found.total))


def make_host_entry(status: OriginStatus) -> HostEntry:
    """Return the entry of an origin."""
    return HostEntry(
        origin=status.origin,
        state=status.state,
        running=status.running,
        waiting=status.waiting,
        slots=status.slots,
        failures=status.failures,
        next_attempt=None if status.next_attempt is None else int(status.next_attempt) + 1,
        error=status.error,
    )
