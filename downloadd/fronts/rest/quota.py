"""`GET /api/v1/quota`: the use of the quotas of the user who asks."""

from aiohttp import web

from downloadd.fronts.rest.request_context import RequestContext
from downloadd.fronts.rest.responses import json_response
from downloadd.views import DownloadViews


class QuotaEndpoint:
    """Handler of the request for the quotas."""

    def __init__(self, views: DownloadViews) -> None:
        self._views = views

    async def show(self, context: RequestContext) -> web.Response:
        """Return what is used of each quota of the user."""
        return json_response(await self._views.quota(context.user))
