"""`GET /api/v1/directories`: which directories there are, for those who complete what somebody types."""

from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web

from downloadd.fronts.rest.query_decoding import QueryDecoder
from downloadd.fronts.rest.request_context import RequestContext
from downloadd.fronts.rest.responses import json_response
from downloadd.fronts.rest.schemas import Directories, DirectoriesQuery

QUERY_DECODER: Final = QueryDecoder(DirectoriesQuery)


class DirectoryCompletionEndpoint:
    """What can be asked of the tree.

    `find` gives up to so many directories that begin with a prefix; `can_use_directory` says whether the user of an id may start
    downloads in one: others are not told.
    """

    def __init__(
        self, *, find: Callable[[str, int], Awaitable[list[str]]], can_use_directory: Callable[[str, str], bool]
    ) -> None:
        self._find = find
        self._can_use_directory = can_use_directory

    async def show(self, context: RequestContext) -> web.Response:
        """`GET /api/v1/directories?prefix=`: those that begin so, one level below its last slash."""
        query = QUERY_DECODER.decode(context.query)
        found = await self._find(query.prefix, query.limit)
        return json_response(
            Directories(directories=[one for one in found if self._can_use_directory(context.user.id, one)])
        )
