"""Structs of the body and the answer of an action on many downloads.

Pure: no I/O and no clock.
"""

from typing import Annotated, Final

import msgspec
from msgspec import UNSET, Meta, UnsetType

from downloadd.bulk_actions import BulkAction
from downloadd.fronts.rest.schemas import ActiveEntry, HistoryEntry

MAX_BULK_IDS: Final = 1000
"""Downloads of one call."""


class BulkBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`POST /api/v1/downloads/actions`."""

    action: Annotated[
        BulkAction,
        Meta(description="`pause`, `resume`, `retry`, `cancel`, or `remove` for finished downloads."),
    ]
    ids: Annotated[
        list[Annotated[str, Meta(pattern="^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]],
        Meta(min_length=1, max_length=MAX_BULK_IDS, description="Ids of the downloads."),
    ]
    file: Annotated[bool, Meta(description="With `remove`: remove the files of completed downloads too.")] = False


class BulkResult(msgspec.Struct, frozen=True, kw_only=True):
    """Result of the action on one download."""

    id: str
    success: bool
    message: str
    active: (
        Annotated[ActiveEntry, Meta(description="The download after the action, if it has not ended.")] | UnsetType
    ) = UNSET
    ended: (
        Annotated[HistoryEntry, Meta(description="The last entry of a cancelled or removed download.")] | UnsetType
    ) = UNSET
    error: Annotated[str, Meta(description="Code of the refusal; null if it succeeded.")] | None = None
    detail: str | None = None


class BulkResponse(msgspec.Struct, frozen=True, kw_only=True):
    """Results of an action on many downloads."""

    results: Annotated[list[BulkResult], Meta(description="One result for each different id, in the order of `ids`.")]
    success: Annotated[bool, Meta(description="True if no download was refused.")]
    message: str
