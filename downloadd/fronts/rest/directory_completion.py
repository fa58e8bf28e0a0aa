"""`GET /api/v1/directories`: directories for the completion of typed names."""

from typing import Final

from aiohttp import web

from downloadd.fronts.rest.query_decoding import QueryDecoder
from downloadd.fronts.rest.request_context import RequestContext
from downloadd.fronts.rest.responses import json_response
from downloadd.fronts.rest.schemas import Directories, DirectoriesQuery
from downloadd.views import DownloadViews

QUERY_DECODER: Final = QueryDecoder(DirectoriesQuery)
"""Decoder of the query."""


class DirectoryCompletionEndpoint:
    """Handler of the directory completion."""

    def __init__(self, views: DownloadViews) -> None:
        self._views = views

    async def show(self, context: RequestContext) -> web.Response:
        """Return the directories that begin with the prefix, one level below its last slash."""
        query = QUERY_DECODER.decode(context.query)
        return json_response(
            Directories(directories=await self._views.directories(context.user, query.prefix, query.limit))
        )
