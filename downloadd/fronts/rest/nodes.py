"""`GET /api/v1/nodes`: the daemons that use the database."""

from collections.abc import Sequence

from aiohttp import web

from downloadd.fronts.rest.node_schemas import NodeEntry, Nodes
from downloadd.fronts.rest.request_context import RequestContext
from downloadd.fronts.rest.responses import json_response
from downloadd.node import Node, find_differences
from downloadd.views import DownloadViews


class NodesEndpoint:
    """Handler of the listing of nodes."""

    def __init__(self, views: DownloadViews) -> None:
        self._views = views

    async def listing(self, context: RequestContext) -> web.Response:
        """Return all nodes by name."""
        return json_response(Nodes(nodes=_make_entries(await self._views.nodes(context.user))))


def _make_entries(nodes: Sequence[Node]) -> list[NodeEntry]:
    differences = find_differences(nodes)
    return [
        NodeEntry(
            node=node.report.name,
            url=node.report.url,
            version=node.report.version,
            state=node.state,
            running=node.report.running,
            speed=node.report.speed,
            last_seen=int(node.last_seen),
            differs=differences[node.report.name],
        )
        for node in nodes
    ]
