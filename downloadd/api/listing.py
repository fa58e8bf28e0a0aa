"""Pages of active downloads, for one directory or for all."""

from aiohttp import web

from downloadd.api.answers import answer
from downloadd.api.bodies import Listing, ListingQuery, active_entry
from downloadd.api.call import Call
from downloadd.api.engine import Engine
from downloadd.api.target import link_next
from downloadd.records.protocol import ActiveFilter
from downloadd.states import State


async def show_page(engine: Engine, call: Call, wanted: ListingQuery, *, directory: str | None = None) -> web.Response:
    """One page, oldest first, with a link to the next one when there is more."""
    # One more than asked for tells whether there is another page.
    snapshots = await engine.active(
        ActiveFilter(
            directory=directory,
            states=None if wanted.status is None else frozenset({State(wanted.status)}),
            after_seq=int(wanted.cursor or 0),
            limit=wanted.limit + 1,
        )
    )
    shown = snapshots[: wanted.limit]
    link = link_next(call.target, str(shown[-1].download.seq)) if len(snapshots) > len(shown) else ""
    return answer(Listing(downloads=[active_entry(snapshot) for snapshot in shown]), link=link)
