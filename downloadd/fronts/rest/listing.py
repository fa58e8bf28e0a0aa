"""Pages of active downloads, for one directory or for all."""

from aiohttp import web

from downloadd.fronts.rest.entries import make_active_entry
from downloadd.fronts.rest.request_context import RequestContext
from downloadd.fronts.rest.responses import json_response
from downloadd.fronts.rest.schemas import Listing, ListingQuery
from downloadd.fronts.rest.target import make_next_link
from downloadd.records.protocol import ActiveFilter
from downloadd.states import State
from downloadd.views import DownloadViews


async def list_active_page(
    views: DownloadViews, context: RequestContext, query: ListingQuery, *, directory: str | None = None
) -> web.Response:
    """Return one page, oldest first, with a link to the next page if there is one."""
    snapshots = await views.active(
        context.user,
        ActiveFilter(
            directory=directory,
            states=None if query.status is None else frozenset({State(query.status)}),
            after_seq=int(query.cursor or 0),
            # One more than the limit shows whether there is another page.
            limit=query.limit + 1,
        ),
    )
    shown = snapshots[: query.limit]
    link = make_next_link(context.target, str(shown[-1].download.seq)) if len(snapshots) > len(shown) else ""
    return json_response(Listing(downloads=[make_active_entry(snapshot) for snapshot in shown]), link=link)
