"""Actions on the waiting list: a move of one download, and pauses of all of them."""

from collections.abc import Mapping
from typing import Final

from aiohttp import web

from downloadd.fronts.rest.body_reader import BodyReader
from downloadd.fronts.rest.downloads import download_id
from downloadd.fronts.rest.entries import make_moved_response
from downloadd.fronts.rest.json_body import decode_body
from downloadd.fronts.rest.queue_schemas import ChangeCountResponse, MoveBody, MoveTo
from downloadd.fronts.rest.request_context import RequestContext
from downloadd.fronts.rest.responses import json_response
from downloadd.queue_move import DOWN, TO_BOTTOM, TO_TOP, UP, QueueMove
from downloadd.service import DownloadService
from downloadd.views import DownloadViews

NAMED_MOVES: Final[Mapping[MoveTo, QueueMove]] = {
    MoveTo.TOP: TO_TOP,
    MoveTo.UP: UP,
    MoveTo.DOWN: DOWN,
    MoveTo.BOTTOM: TO_BOTTOM,
}
"""The move that each word stands for."""


class QueueEndpoints:
    """Handlers of the requests to change the waiting list."""

    def __init__(self, *, service: DownloadService, views: DownloadViews, reader: BodyReader) -> None:
        self._service = service
        self._views = views
        self._reader = reader

    async def move(self, context: RequestContext) -> web.Response:
        """Move a download, for `POST /api/v1/downloads/{id}/move`."""
        id = download_id(context)
        to = decode_body(await self._reader.read_json(context.request), MoveBody).to
        move = QueueMove(offset=to) if isinstance(to, int) else NAMED_MOVES[to]
        position = await self._service.move(context.user, id, move)
        return json_response(make_moved_response(await self._views.get(context.user, id), position))

    async def pause_all(self, context: RequestContext) -> web.Response:
        """Pause all active downloads, for `POST /api/v1/downloads/pause`."""
        count = await self._service.pause_all(context.user)
        return json_response(ChangeCountResponse(changed=count, success=True, message="Downloads paused"))

    async def resume_all(self, context: RequestContext) -> web.Response:
        """Resume all paused downloads, for `POST /api/v1/downloads/resume`."""
        count = await self._service.resume_all(context.user)
        return json_response(ChangeCountResponse(changed=count, success=True, message="Downloads resumed"))
