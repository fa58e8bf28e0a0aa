"""`/?download_history=`: finished downloads."""

from typing import Final

from aiohttp import web
from msgspec.structs import replace

from downloadd.fronts.rest.entries import make_history_entry
from downloadd.fronts.rest.query_decoding import QueryDecoder
from downloadd.fronts.rest.request_context import RequestContext
from downloadd.fronts.rest.responses import json_response
from downloadd.fronts.rest.schemas import History, HistoryQuery, HistoryRemovalQuery, RemovalResponse
from downloadd.fronts.rest.target import make_next_link
from downloadd.records.protocol import HistoryFilter
from downloadd.service import DownloadService
from downloadd.states import State
from downloadd.storage.names import parse_directory
from downloadd.views import DownloadViews

QUERY_DECODER: Final = QueryDecoder(HistoryQuery)
"""Decoder of the query of a page."""

REMOVAL_QUERY_DECODER: Final = QueryDecoder(HistoryRemovalQuery)
"""Decoder of the query of a removal."""


class HistoryEndpoints:
    """Handlers of the history."""

    def __init__(self, *, service: DownloadService, views: DownloadViews) -> None:
        self._service = service
        self._views = views

    async def page(self, context: RequestContext) -> web.Response:
        """Return one page, newest end first, with a link to the next page if there is one."""
        query = QUERY_DECODER.decode(context.query)
        rows = await self._views.history(
            context.user,
            replace(
                make_filter(query),
                before_ended_seq=None if query.cursor is None else int(query.cursor),
                # One more than the limit shows whether there is another page.
                limit=query.limit + 1,
            ),
        )
        shown = rows[: query.limit]
        link = make_next_link(context.target, str(shown[-1].result.ended_seq)) if len(rows) > len(shown) else ""
        return json_response(History(history=[make_history_entry(row) for row in shown]), link=link)

    async def remove(self, context: RequestContext) -> web.Response:
        """Remove all entries that match the filters, for `DELETE /?download_history=`."""
        query = REMOVAL_QUERY_DECODER.decode(context.query)
        count = await self._service.remove_matching(context.user, make_filter(query))
        message = f"{count.removed} removed from the history"
        if count.refused:
            message += f", {count.refused} left in directories that you may not use"
        return json_response(
            RemovalResponse(removed=count.removed, refused=count.refused, success=True, message=message)
        )


def make_filter(query: HistoryQuery | HistoryRemovalQuery) -> HistoryFilter:
    """Return the filter of a query, without its page.

    Raises:
        InvalidPathError: no download can be in the directory.
    """
    return HistoryFilter(
        directory=None if query.directory is None else parse_directory(query.directory),
        state=None if query.status is None else State(query.status),
        contains=query.q or None,
        ended_before=query.ended_before,
        has_part=query.kept,
    )
