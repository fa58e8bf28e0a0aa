"""Import operations and content in the form of Rocket.Chat's responses.

Pure: no I/O and no clock.
"""

from datetime import UTC, datetime

import msgspec
from msgspec import UNSET, UnsetType

from downloadd.fronts.rocketchat.schemas import (
    ChannelEntry,
    ImportProgress,
    OperationEntry,
    ProgressCount,
    ReadingEntry,
    SkippedItem,
    UserEntry,
)
from downloadd.fronts.rocketchat.statuses import STATUSES, title_of
from downloadd.import_operation import SKIP_REASONS, Channel, ImportOperation, SkippedEntry, WorkspaceUser
from downloadd.storage.names import remove_invisible


def make_operation_entry(operation: ImportOperation) -> OperationEntry:
    """Return an operation."""
    return OperationEntry(
        id=operation.id,
        type=title_of(operation.kind),
        importer_key=operation.kind,
        ts=operation.started_at,
        status=STATUSES[operation.state],
        valid=operation.valid,
        user=operation.user,
        _updated_at=_format_rfc3339(operation.updated_at),
        content_type=operation.content_type if operation.content_type is not None else msgspec.UNSET,
        file=format_stored_name(operation) if operation.pending_kind is None else msgspec.UNSET,
        count=_make_count(operation),
        reading=_make_reading(operation),
        reason=operation.reason if operation.reason is not None else msgspec.UNSET,
    )


def make_import_progress(operation: ImportOperation) -> ImportProgress:
    """Return the progress of an operation."""
    return ImportProgress(
        key=operation.kind,
        name=title_of(operation.kind),
        step=STATUSES[operation.state],
        count=_make_count(operation),
        reading=_make_reading(operation),
        success=True,
    )


def make_user_entry(user: WorkspaceUser, is_selected: bool) -> UserEntry:
    """Return a user in the form in which a selection is sent back."""
    return UserEntry(
        user_id=user.user_id,
        username=user.username,
        email=user.email,
        is_deleted=user.is_deleted,
        is_bot=user.is_bot,
        do_import=is_selected,
        is_email_taken=False,
    )


def make_channel_entry(channel: Channel, is_selected: bool) -> ChannelEntry:
    """Return a channel in the form in which a selection is sent back."""
    return ChannelEntry(
        channel_id=channel.channel_id,
        name=channel.name,
        is_archived=channel.is_archived,
        do_import=is_selected,
        is_private=channel.is_private,
        is_direct=channel.is_direct,
    )


def make_skipped_item(skipped: SkippedEntry) -> SkippedItem:
    """Return a part of an import file that is not imported."""
    return SkippedItem(
        reason=skipped.reason,
        meaning=SKIP_REASONS[skipped.reason],
        detail=skipped.detail,
        entry=skipped.entry or None,
        line=skipped.line,
        message=skipped.message or None,
        file_id=skipped.file_id or None,
        channel_id=skipped.channel_id or None,
        channel=skipped.channel or None,
    )


def format_stored_name(operation: ImportOperation) -> str:
    """Return the name under which Rocket.Chat would store the uploaded file.

    As in Rocket.Chat, months count from 0 and numbers are not padded.
    """
    at = datetime.fromtimestamp(operation.started_at / 1000, UTC)
    stamp = f"{at.year}{at.month - 1}{at.day}{at.hour}{at.minute}{at.second}"
    return f"{stamp}_{operation.user}_{remove_invisible(operation.name).replace('/', '_')}"


def _make_count(operation: ImportOperation) -> ProgressCount:
    counts = operation.file_counts
    return ProgressCount(
        completed=counts.completed,
        total=counts.total,
        error=counts.failed,
        given_up=counts.given_up,
        skipped=operation.skipped,
    )


def _make_reading(operation: ImportOperation) -> ReadingEntry | UnsetType:
    progress = operation.reading
    if progress is None:
        return UNSET
    return ReadingEntry(bytes_read=progress.bytes_read, bytes_total=progress.bytes_total, messages=progress.messages)


def _format_rfc3339(milliseconds: int) -> str:
    at = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{milliseconds % 1000:03d}Z"
