"""Calls about schedules: URLs that are fetched again and again."""

from urllib.parse import quote

from downloadd.client.connection import Connection
from downloadd.fronts.rest.schedule_schemas import (
    ScheduleBody,
    ScheduleChange,
    ScheduleEntry,
    ScheduleResponse,
    Schedules,
)

_PATH = "api/v1/schedules"


class ScheduleCalls:
    """Calls about schedules."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def list(self) -> list[ScheduleEntry]:
        """Return all schedules by name.

        Raises:
            ApiError, ConnectionLostError: The call failed.
        """
        return (await self._connection.call(Schedules, "GET", _PATH)).schedules

    async def get(self, name: str) -> ScheduleEntry:
        """Return a schedule.

        Raises:
            ApiError, ConnectionLostError: The name is unknown, or there was no answer.
        """
        return await self._connection.call(ScheduleEntry, "GET", _path(name))

    async def add(self, schedule: ScheduleBody) -> ScheduleResponse:
        """Add a schedule.

        Raises:
            ApiError, ConnectionLostError: A value cannot be used, the name is taken, or there was no answer.
        """
        return await self._connection.call(ScheduleResponse, "POST", _PATH, json=schedule)

    async def change(self, name: str, change: ScheduleChange) -> ScheduleResponse:
        """Change a schedule; fields that are not given stay.

        Raises:
            ApiError, ConnectionLostError: A value cannot be used, it is from the configuration, or there was no answer.
        """
        return await self._connection.call(ScheduleResponse, "PATCH", _path(name), json=change)

    async def remove(self, name: str) -> ScheduleResponse:
        """Remove a schedule; its files stay.

        Raises:
            ApiError, ConnectionLostError: It is unknown or from the configuration, or there was no answer.
        """
        return await self._connection.call(ScheduleResponse, "DELETE", _path(name))

    async def run(self, name: str) -> ScheduleResponse:
        """Start a run now.

        Raises:
            ApiError, ConnectionLostError: The last run has not ended, or there was no answer.
        """
        return await self._connection.call(ScheduleResponse, "POST", f"{_path(name)}/run")


def _path(name: str) -> str:
    return f"{_PATH}/{quote(name, safe='')}"
