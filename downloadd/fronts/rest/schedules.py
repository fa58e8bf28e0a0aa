"""`/api/v1/schedules`: URLs that are fetched again and again."""

import re
from typing import Any, Final

from aiohttp import web
from msgspec import UNSET
from msgspec.structs import asdict

from downloadd.errors import InvalidParameterError, NotFoundError
from downloadd.fronts.rest.body_reader import BodyReader
from downloadd.fronts.rest.json_body import decode_body
from downloadd.fronts.rest.request_context import RequestContext
from downloadd.fronts.rest.responses import json_response
from downloadd.fronts.rest.schedule_schemas import (
    ScheduleBody,
    ScheduleChange,
    ScheduleEntry,
    ScheduleResponse,
    Schedules,
)
from downloadd.schedule import SCHEDULE_NAME_PATTERN, ScheduleDefinition
from downloadd.schedules.service import ScheduleService, ScheduleView

_NAME: Final = re.compile(SCHEDULE_NAME_PATTERN)


class ScheduleEndpoints:
    """Handlers of the requests about schedules."""

    def __init__(self, *, service: ScheduleService, reader: BodyReader) -> None:
        self._service = service
        self._reader = reader

    async def listing(self, context: RequestContext) -> web.Response:
        """Return all schedules, for `GET /api/v1/schedules`."""
        views = await self._service.list(context.user)
        return json_response(Schedules(schedules=[ScheduleEntry(**_fields_of(view)) for view in views]))

    async def show(self, context: RequestContext) -> web.Response:
        """Return a schedule, for `GET /api/v1/schedules/{id}`."""
        return json_response(ScheduleEntry(**_fields_of(await self._service.get(context.user, _name(context)))))

    async def add(self, context: RequestContext) -> web.Response:
        """Add a schedule, for `POST /api/v1/schedules`."""
        body = decode_body(await self._reader.read_json(context.request), ScheduleBody)
        given = asdict(body)
        view = await self._service.add(context.user, given.pop("name"), ScheduleDefinition(**given, user=""))
        return _respond(view, "Schedule added", status=201)

    async def change(self, context: RequestContext) -> web.Response:
        """Change a schedule, for `PATCH /api/v1/schedules/{id}`."""
        name = _name(context)
        body = decode_body(await self._reader.read_json(context.request), ScheduleChange)
        given = {field: value for field, value in asdict(body).items() if value is not UNSET}
        if not given:
            known = ", ".join(ScheduleChange.__struct_fields__)
            raise InvalidParameterError("body", f"expected at least one of {known}")
        return _respond(await self._service.change(context.user, name, given), "Schedule changed")

    async def remove(self, context: RequestContext) -> web.Response:
        """Remove a schedule, for `DELETE /api/v1/schedules/{id}`."""
        return _respond(await self._service.remove(context.user, _name(context)), "Schedule removed")

    async def run(self, context: RequestContext) -> web.Response:
        """Start a run now, for `POST /api/v1/schedules/{id}/run`."""
        return _respond(await self._service.run(context.user, _name(context)), "Run started")


def _name(context: RequestContext) -> str:
    """Return the name in the path.

    Raises:
        NotFoundError: no schedule can have it.
    """
    if not _NAME.fullmatch(context.id):
        raise NotFoundError("no schedule has this name")
    return context.id


def _respond(view: ScheduleView, message: str, *, status: int = 200) -> web.Response:
    return json_response(ScheduleResponse(**_fields_of(view), success=True, message=message), status=status)


def _fields_of(view: ScheduleView) -> dict[str, Any]:
    schedule, download = view.schedule, view.download
    definition = asdict(schedule.definition)
    return {
        **definition,
        "url": view.shown_url,
        "name": schedule.name,
        "source": schedule.source,
        "next_run": _seconds(schedule.next_run),
        "last_run": _seconds(schedule.last_run),
        "last_download": schedule.last_download,
        "last_status": None if download is None else download.state,
        "last_error": None if download is None else download.result.error,
        "problem": schedule.problem,
        "versions": len(schedule.versions),
    }


def _seconds(time: float | None) -> int | None:
    return None if time is None else int(time)
