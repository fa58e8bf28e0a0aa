"""`/api/v1/settings`: the limits on all downloads, which may be changed while the daemon runs."""

from typing import Final

from aiohttp import web
from msgspec import UNSET
from msgspec.structs import asdict

from downloadd.errors import InvalidParameterError
from downloadd.fronts.rest.body_reader import BodyReader
from downloadd.fronts.rest.json_body import decode_body
from downloadd.fronts.rest.request_context import RequestContext
from downloadd.fronts.rest.responses import json_response
from downloadd.fronts.rest.settings_schemas import SettingsBody, SettingsResponse
from downloadd.runtime_settings import SettingsChange
from downloadd.settings_service import SettingsService

MESSAGE: Final = "Settings changed until the next restart or reload"
MESSAGE_OF_NODES: Final = (
    "Settings changed until the next restart or reload; all but max_concurrent on all nodes, until one reloads or all "
    "have stopped"
)
_HOURS: Final = ", or other hours of [[limits]]"


class SettingsEndpoints:
    """Handlers of the requests to read and to change the settings."""

    def __init__(self, *, service: SettingsService, reader: BodyReader) -> None:
        self._service = service
        self._reader = reader
        self._message = MESSAGE_OF_NODES if service.is_shared else MESSAGE

    async def show(self, context: RequestContext) -> web.Response:
        """Return the settings that hold now, for `GET /api/v1/settings`."""
        return json_response(self._service.get(context.user))

    async def change(self, context: RequestContext) -> web.Response:
        """Change settings at once, for `PATCH /api/v1/settings`."""
        body = decode_body(await self._reader.read_json(context.request), SettingsBody)
        given = {name: value for name, value in asdict(body).items() if value is not UNSET}
        if not given:
            raise InvalidParameterError("body", f"expected at least one of {', '.join(SettingsBody.__struct_fields__)}")
        settings = await self._service.change(context.user, SettingsChange(**given))
        return json_response(
            SettingsResponse(
                **asdict(settings),
                success=True,
                message=self._message if settings.next_change is None else f"{self._message}{_HOURS}",
            )
        )
