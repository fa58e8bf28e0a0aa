"""`GET /?download_history=`: what has ended."""

from typing import Final

from aiohttp import web

from downloadd.api.answers import answer
from downloadd.api.bodies import History, HistoryQuery, QueryForm, past_entry
from downloadd.api.call import Call
from downloadd.api.engine import Engine
from downloadd.api.target import link_next
from downloadd.records.protocol import HistoryFilter
from downloadd.states import State
from downloadd.storage.names import parse_directory

FORM: Final = QueryForm(HistoryQuery)


class HistoryEndpoints:
    """What can be asked of the past."""

    def __init__(self, *, engine: Engine) -> None:
        self._engine = engine

    async def page(self, call: Call) -> web.Response:
        """One page, newest end first, with a link to the next one when there is more."""
        wanted = FORM.read(call.query)
        rows = await self._engine.history(
            HistoryFilter(
                directory=None if wanted.directory is None else parse_directory(wanted.directory),
                state=None if wanted.status is None else State(wanted.status),
                contains=wanted.q or None,
                before_ended_seq=None if wanted.cursor is None else int(wanted.cursor),
                # One more than asked for tells whether there is another page.
                limit=wanted.limit + 1,
            )
        )
        shown = rows[: wanted.limit]
        link = link_next(call.target, str(shown[-1].result.ended_seq)) if len(rows) > len(shown) else ""
        return answer(History(history=[past_entry(row) for row in shown]), link=link)
