"""One action on many downloads, with a result for each."""

import asyncio
from collections.abc import Sequence
from enum import StrEnum
from typing import Final, assert_never

import msgspec

from downloadd.download import Download, Snapshot
from downloadd.errors import DownloadError
from downloadd.rights import Action
from downloadd.service import DownloadService
from downloadd.users import PermissionMissingError, User

MAX_PARALLEL_ACTIONS: Final = 32
"""Actions of one call at a time; their writes share transactions."""

DIRECTORY_REFUSED: Final = "error-unauthorized"
"""Error of a download in a directory that the user may not use."""


class BulkAction(StrEnum):
    """Action that can be applied to many downloads."""

    PAUSE = "pause"
    RESUME = "resume"
    RETRY = "retry"
    CANCEL = "cancel"
    REMOVE = "remove"
    """Remove finished downloads from the history."""


class ActionOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """Outcome of the action on one download."""

    id: str
    changed: Snapshot | Download | None = None
    """The download after the action; None if that was refused."""
    is_file_removed: bool = False
    error: str | None = None
    """Code of the refusal."""
    detail: str | None = None


class BulkActions:
    """Applies actions to many downloads, with the rights that the user has for each."""

    def __init__(self, service: DownloadService) -> None:
        self._service = service

    async def apply(
        self, user: User, action: BulkAction, ids: Sequence[str], *, with_file: bool = False
    ) -> list[ActionOutcome]:
        """Apply an action to downloads; a refusal of one does not concern the others.

        Args:
            user: the user who asks.
            action: the action.
            ids: the downloads; one that is there twice is changed once.
            with_file: remove the files of completed downloads too.

        Raises:
            PermissionMissingError: the user does not have the permission.
            DownloadForbiddenError: the action fetches, and the daemon may not.
        """
        self._service.authorize(user, Action(action.value))
        slots = asyncio.Semaphore(MAX_PARALLEL_ACTIONS)

        async def apply_one(id: str) -> ActionOutcome:
            async with slots:
                try:
                    return await self._apply(user, action, id, with_file=with_file)
                except DownloadError as error:
                    return ActionOutcome(id=id, error=error.code, detail=error.detail)
                except PermissionMissingError:
                    return ActionOutcome(id=id, error=DIRECTORY_REFUSED)

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(apply_one(id)) for id in dict.fromkeys(ids)]
        return [task.result() for task in tasks]

    async def _apply(self, user: User, action: BulkAction, id: str, *, with_file: bool) -> ActionOutcome:
        changed: Snapshot | Download
        is_file_removed = False
        match action:
            case BulkAction.PAUSE:
                changed = await self._service.pause(user, id)
            case BulkAction.RESUME:
                changed = await self._service.resume(user, id)
            case BulkAction.RETRY:
                changed = await self._service.retry(user, id)
            case BulkAction.CANCEL:
                changed = await self._service.cancel(user, id)
            case BulkAction.REMOVE:
                changed, is_file_removed = await self._service.remove(user, id, with_file=with_file)
            case _:
                assert_never(action)
        return ActionOutcome(id=id, changed=changed, is_file_removed=is_file_removed)
