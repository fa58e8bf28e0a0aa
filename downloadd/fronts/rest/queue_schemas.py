"""Structs of bodies and answers about the waiting list.

Pure: no I/O and no clock.
"""

from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta

from downloadd.fronts.rest.schemas import ActiveEntryResponse


class MoveTo(StrEnum):
    """Word for a place in the waiting list."""

    TOP = "top"
    UP = "up"
    DOWN = "down"
    BOTTOM = "bottom"


class MoveBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`POST /api/v1/downloads/{id}/move`."""

    to: Annotated[
        MoveTo | Annotated[int, Meta(ge=0, le=2**53)],
        Meta(
            description="`top`, `up`, `down`, `bottom`, or the index among the queued and paused downloads in the "
            "order of starting: 0 for the first; beyond the last one is the end."
        ),
    ]


class MoveResponse(ActiveEntryResponse, frozen=True, kw_only=True):
    """An active download after a move in the waiting list."""

    position: Annotated[int, Meta(ge=0, description="Index among the queued and paused downloads.")]


class ChangeCountResponse(msgspec.Struct, frozen=True, kw_only=True):
    """Result of an action on all downloads."""

    changed: Annotated[int, Meta(ge=0, description="Downloads that were changed; those of others stay.")]
    success: bool
    message: str
