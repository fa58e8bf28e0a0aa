"""Routes of the requests about schedules; see `routes`."""

from typing import Final

from downloadd.fronts.rest import schedule_contracts as c
from downloadd.fronts.rest.route import Route
from downloadd.fronts.rest.schedules import ScheduleEndpoints
from downloadd.rights import REQUIRED_PERMISSIONS, Action

_START: Final = REQUIRED_PERMISSIONS[Action.START]
_VIEW: Final = REQUIRED_PERMISSIONS[Action.VIEW]
_PATH: Final = "/api/v1/schedules"
_ONE_PATH: Final = "/api/v1/schedules/{id}"


def build_schedule_routes(schedules: ScheduleEndpoints) -> tuple[Route, ...]:
    """Return the routes of schedules."""
    return (
        Route("GET", _PATH, _VIEW, schedules.listing, c.SCHEDULES, "List the schedules", head=True),
        Route("POST", _PATH, _START, schedules.add, c.ADD_SCHEDULE, "Add a schedule"),
        Route("GET", _ONE_PATH, _VIEW, schedules.show, c.SCHEDULE, "Look at one schedule", head=True),
        Route("PATCH", _ONE_PATH, _START, schedules.change, c.CHANGE_SCHEDULE, "Change a schedule"),
        Route("DELETE", _ONE_PATH, _START, schedules.remove, c.REMOVE_SCHEDULE, "Remove a schedule"),
        Route("POST", f"{_ONE_PATH}/run", _START, schedules.run, c.RUN_SCHEDULE, "Start a run of a schedule now"),
    )
