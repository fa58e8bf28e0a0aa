"""Answers made from downloads: the result of a start, and the entries of listing and history.

Pure: no I/O and no clock.
"""

import math
from typing import Any

from msgspec import UNSET
from msgspec.structs import replace

from downloadd.download import Download, Snapshot
from downloadd.errors import ErrorCode
from downloadd.fronts.rest.queue_schemas import MoveResponse
from downloadd.fronts.rest.schemas import (
    ActiveEntry,
    ActiveEntryResponse,
    HistoryEntry,
    HistoryEntryResponse,
    StartResponse,
)
from downloadd.states import STATES, State


def make_start_response(download: Download) -> StartResponse:
    """Return the answer to a start, for a new download or after waiting for its end."""
    row = STATES[download.state]
    detail = None if row.is_success else download.result.detail
    return StartResponse(
        download_id=download.id,
        filename=download.filename,
        path=download.file_path,
        success=row.is_success,
        message=row.message,
        error=None if row.is_success else _reported_error(download),
        detail=UNSET if detail is None else detail,
        warning=UNSET if download.result.warning is None else download.result.warning,
    )


def make_active_entry(snapshot: Snapshot) -> ActiveEntry:
    """Return the entry of a listing."""
    return ActiveEntry(**_active_fields(snapshot))


def make_active_response(snapshot: Snapshot, message: str) -> ActiveEntryResponse:
    """Return the entry of a listing after an action that `message` names."""
    return ActiveEntryResponse(**_active_fields(snapshot), success=True, message=message)


def make_moved_response(snapshot: Snapshot, position: int) -> MoveResponse:
    """Return the entry of a listing after a move to `position`."""
    return MoveResponse(**_active_fields(snapshot), success=True, message="Download moved", position=position)


def make_history_entry(download: Download) -> HistoryEntry:
    """Return the entry of the history."""
    return HistoryEntry(**_history_fields(download))


def make_history_response(download: Download, message: str) -> HistoryEntryResponse:
    """Return the entry of the history after an action that `message` names."""
    return HistoryEntryResponse(**_history_fields(download), success=True, message=message)


def compute_percentage(current: int, expected: int | None) -> float | None:
    """Return the received part in percent, to two decimals and never rounded up: 100.0 includes the last byte."""
    if expected is None:
        return None
    if current >= expected:
        return 100.0
    return math.floor(current * 10_000 / expected) / 100


def _common_fields(download: Download) -> dict[str, Any]:
    return {
        "id": download.id,
        "filename": download.filename,
        "file_path": download.file_path,
        "directory": download.request.directory,
        "url": download.request.redacted_url,
        "status": download.state,
        "start_time": download.start_time,
        "error": download.result.error,
        "detail": download.result.detail,
        "cause": download.result.cause,
        "origin_status": download.result.origin_status,
        "warning": download.result.warning,
        "resumed_by": download.progress.resumed_by,
        "operation": UNSET if download.request.operation is None else download.request.operation,
    }


def _active_fields(snapshot: Snapshot) -> dict[str, Any]:
    progress, control = snapshot.download.progress, snapshot.download.control
    return {
        **_common_fields(snapshot.download),
        "current_size": progress.received,
        "expected_size": progress.total,
        "progress_percentage": compute_percentage(progress.received, progress.total),
        "speed": None if snapshot.speed is None else round(snapshot.speed),
        "eta": None if snapshot.eta is None or not math.isfinite(snapshot.eta) else math.ceil(snapshot.eta),
        "connections": snapshot.connections,
        "uploaded": UNSET if snapshot.uploaded is None else snapshot.uploaded,
        "attempt": progress.attempt,
        "priority": control.priority,
        "place": snapshot.download.place,
        "speed_limit": control.speed_limit,
        "not_before": UNSET if control.not_before is None else control.not_before,
        "reason": snapshot.reason,
        # Its words are those of `reason`.
        "wait": UNSET if snapshot.wait is None else replace(snapshot.wait, text=""),
        "node": snapshot.node,
    }


def _history_fields(download: Download) -> dict[str, Any]:
    result = download.result
    return {
        **_common_fields(download),
        "total_bytes": download.progress.total if download.state is State.COMPLETED else None,
        "kept_bytes": download.kept_bytes,
        "end_time": download.start_time if result.end_time is None else result.end_time,
        "checksum": result.checksum,
        "content_type": result.content_type,
        "user": download.user,
    }


def _reported_error(download: Download) -> ErrorCode:
    if download.result.error is not None:
        return download.result.error
    return ErrorCode.CANCELLED if download.state is State.CANCELLED else ErrorCode.INTERNAL_ERROR
