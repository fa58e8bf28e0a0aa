"""Contracts of the requests about schedules; see `contracts`."""

from typing import Final

from downloadd.errors import (
    DownloadForbiddenError,
    InvalidPathError,
    InvalidStateError,
    InvalidUrlError,
    NotFoundError,
    Occasion,
    codes_at,
)
from downloadd.fronts.rest.contract import Contract, ResponseSpec
from downloadd.fronts.rest.schedule_schemas import (
    ScheduleBody,
    ScheduleChange,
    ScheduleEntry,
    ScheduleResponse,
    Schedules,
)

_READ_ERRORS: Final = (*codes_at(Occasion.QUERY), *codes_at(Occasion.READ))
_BODY_ERRORS: Final = (*codes_at(Occasion.QUERY), *codes_at(Occasion.BODY))
_DEFINITION_ERRORS: Final = (
    *_BODY_ERRORS,
    *_READ_ERRORS,
    InvalidUrlError.code,
    InvalidPathError.code,
    InvalidStateError.code,
    DownloadForbiddenError.code,
)

SCHEDULES: Final = Contract(
    response=ResponseSpec(description="All schedules, by name", types=(Schedules,)), errors=_READ_ERRORS
)
SCHEDULE: Final = Contract(
    response=ResponseSpec(description="The schedule", types=(ScheduleEntry,)),
    errors=(*_READ_ERRORS, NotFoundError.code),
)
ADD_SCHEDULE: Final = Contract(
    body=ScheduleBody,
    response=ResponseSpec(status=201, description="The schedule is on stable storage", types=(ScheduleResponse,)),
    errors=_DEFINITION_ERRORS,
)
CHANGE_SCHEDULE: Final = Contract(
    body=ScheduleChange,
    response=ResponseSpec(description="The schedule after the change", types=(ScheduleResponse,)),
    errors=(*_DEFINITION_ERRORS, NotFoundError.code),
)
REMOVE_SCHEDULE: Final = Contract(
    response=ResponseSpec(description="The schedule that was removed", types=(ScheduleResponse,)),
    errors=(*_READ_ERRORS, NotFoundError.code, InvalidStateError.code, DownloadForbiddenError.code),
)
RUN_SCHEDULE: Final = Contract(
    response=ResponseSpec(description="The schedule with its new run", types=(ScheduleResponse,)),
    errors=(*_READ_ERRORS, NotFoundError.code, InvalidStateError.code, DownloadForbiddenError.code),
)
