"""The operations that a user may perform on downloads: permissions, directory rights and idempotency.

Every interface for users calls this service to change something, and `DownloadViews` to read; it translates the
refusals to its own responses.
"""

from collections.abc import Callable, Iterable, Sequence

import msgspec

from downloadd.clock import Clock
from downloadd.download import Download, Snapshot
from downloadd.download_request import DownloadRequest
from downloadd.download_rules import DownloadRules
from downloadd.errors import ErrorCode
from downloadd.manager.history_removal import HistoryEditor, RemovalCount
from downloadd.manager.prober import UrlProber
from downloadd.manager.protocol import (
    DownloadChange,
    DownloadManager,
    MakeStoredResponse,
    QueueManager,
    ResultManager,
    StartResult,
)
from downloadd.manager.storage_identity import StorageControl
from downloadd.queue_move import QueueMove
from downloadd.records.protocol import HistoryFilter, StoredResponse
from downloadd.rights import Action, Rights
from downloadd.root_identity import RootIdentity
from downloadd.states import State
from downloadd.transfer.probe import ProbeResult
from downloadd.users import User


class IdempotencyKey(msgspec.Struct, frozen=True, kw_only=True):
    """The key of a request that may be repeated. Keys of different users are different keys."""

    key: str
    fingerprint: bytes
    """Digest of the request; another request with the same key is refused."""


class RenderedResponse(msgspec.Struct, frozen=True, kw_only=True):
    """A response of an interface, ready to be stored."""

    status: int
    body: bytes


RenderResponse = Callable[[Sequence[Download]], RenderedResponse]
"""Renderer of the response to a request that starts downloads."""


class DownloadService:
    """The actions of users on downloads."""

    def __init__(
        self,
        *,
        manager: DownloadManager,
        queue: QueueManager,
        results: ResultManager,
        history: HistoryEditor,
        prober: UrlProber,
        storage: StorageControl,
        clock: Clock,
        rights: Rights,
        rules: Callable[[], DownloadRules] = DownloadRules,
    ) -> None:
        """Make the service.

        Args:
            manager: the manager of the downloads.
            queue: the waiting list.
            results: the list of results.
            history: removes finished downloads.
            prober: asks origins about URLs.
            storage: confirms changes of the storage root.
            clock: the clock.
            rights: the checks of what a user may do.
            rules: returns the rules that complete requests.
        """
        self._manager = manager
        self._queue = queue
        self._results = results
        self._history = history
        self._prober = prober
        self._storage = storage
        self._clock = clock
        self._rights = rights
        self._rules = rules

    def authorize(self, user: User, action: Action) -> None:
        """Return if the user may perform an action; every method does this itself.

        Interfaces may call it before they read the rest of a request.

        Raises:
            PermissionMissingError: the user does not have the permission.
            DownloadForbiddenError: the action fetches, and the daemon may not.
        """
        self._rights.require(user, action)

    async def start(
        self,
        user: User,
        requests: Sequence[DownloadRequest],
        *,
        request_id: str | None = None,
        idempotency_key: IdempotencyKey | None = None,
        render: RenderResponse | None = None,
    ) -> StartResult:
        """Start downloads; all requests are recorded durably in one transaction, or none is.

        Args:
            user: the user who asks.
            requests: the download requests; those that are refused one by one have a result with their error.
            request_id: the id of the request in the log.
            idempotency_key: the key of the request, if it has one.
            render: renders the response that is stored under the key.

        Raises:
            PermissionMissingError: the user does not have the permission, or may not use one of the directories.
            DownloadForbiddenError: the daemon may not fetch.
            ShuttingDownError: the daemon stops and accepts nothing.
            IdempotencyKeyReusedError: the key belongs to another request.
        """
        self.authorize(user, Action.START)
        self._require_directories(user, (request.directory for request in requests))
        rules, now = self._rules(), self._clock.wall()
        ruled = [rules.apply(request, user=user.id, now=now) for request in requests]
        self._require_directories(user, (directory for each in ruled for directory in each.directories))
        make_stored_response: MakeStoredResponse | None = None
        if idempotency_key is not None and render is not None:
            make_stored_response = _storing(user, idempotency_key, render, self._clock)
        return await self._manager.start(
            [each.request for each in ruled],
            user=user.id,
            request_id=request_id,
            make_stored_response=make_stored_response,
        )

    def _require_directories(self, user: User, directories: Iterable[str]) -> None:
        # A batch has thousands of requests, and few directories.
        for directory in dict.fromkeys(directories):
            self._rights.require(user, Action.START, directory=directory)

    async def probe(self, user: User, request: DownloadRequest) -> ProbeResult:
        """Return what a download of a URL would find; nothing is saved or recorded.

        Raises:
            PermissionMissingError: the user does not have the permission.
            DownloadForbiddenError: the daemon may not fetch.
            DownloadError: a download would be refused or fail, or the probe took too long.
        """
        self.authorize(user, Action.PROBE)
        return await self._prober.probe(request)

    async def cancel(self, user: User, id: str) -> Download:
        """Cancel an active download and remove its part file; return the final row.

        Raises:
            PermissionMissingError: the user does not have the permission, or may not use the directory.
            NotFoundError: the id is unknown.
            InvalidStateError: the download has ended already.
        """
        await self._authorize_change(user, Action.CANCEL, id)
        return await self._manager.cancel(id)

    async def pause(self, user: User, id: str) -> Snapshot:
        """Pause an active download; see `cancel` for the errors."""
        await self._authorize_change(user, Action.PAUSE, id)
        return await self._manager.pause(id)

    async def resume(self, user: User, id: str) -> Snapshot:
        """Resume a paused download; see `cancel` for the errors.

        Raises:
            DownloadForbiddenError: the daemon may not fetch.
        """
        await self._authorize_change(user, Action.RESUME, id)
        return await self._manager.resume(id)

    async def retry(self, user: User, id: str, url: str | None = None) -> Snapshot:
        """Retry a finished download, or a retrying one without further delay; see `cancel` for the errors.

        The bytes that were kept of a failed one are continued, also under a new `url`.

        Raises:
            DownloadForbiddenError: the daemon may not fetch.
            InvalidUrlError, DomainBlockedError: the new URL may not be fetched.
            QueueFullError: the download has ended, and the queue is full.
        """
        await self._authorize_change(user, Action.RETRY, id)
        return await self._manager.retry(id, url)

    async def amend(self, user: User, id: str, changes: DownloadChange) -> Snapshot:
        """Change a download; a finished one that can be retried may get a URL too.

        See `cancel` for the errors.

        Raises:
            PermissionMissingError: the user does not have the permission, or may not use the directory, the present one
                or the new one.
            DownloadForbiddenError: the URL or the mirrors are to be changed, and the daemon may not fetch.
            DownloadError: a value cannot be used.
        """
        if changes.url is not None or changes.mirrors is not None:
            self.authorize(user, Action.AMEND)
            self._rights.require_enabled()
        await self._authorize_change(user, Action.AMEND, id)
        if changes.directory is not None:
            self._rights.require(user, Action.AMEND, directory=changes.directory)
        return await self._manager.amend(id, changes)

    async def move(self, user: User, id: str, move: QueueMove) -> int:
        """Move a queued or paused download in the waiting list; return its new index, from 0.

        It takes the priority of its new neighbours. See `cancel` for the errors.
        """
        await self._authorize_change(user, Action.MOVE, id)
        return await self._queue.move(id, move)

    async def pause_all(self, user: User) -> int:
        """Pause all active downloads; those in directories of others stay. Return the number of changed ones.

        If a part of them fails, or the daemon stops, a repeated call pauses the rest.

        Raises:
            PermissionMissingError: the user does not have the permission.
        """
        self.authorize(user, Action.PAUSE)
        return await self._queue.pause_all(self._directories_of(user))

    async def resume_all(self, user: User) -> int:
        """Resume all paused downloads; see `pause_all`.

        Raises:
            PermissionMissingError: the user does not have the permission.
            DownloadForbiddenError: the daemon may not fetch.
        """
        self.authorize(user, Action.RESUME)
        return await self._queue.resume_all(self._directories_of(user))

    async def clear_result(self, user: User, id: str) -> None:
        """Remove a finished download from the list of results; the history keeps it. See `cancel` for the errors."""
        await self._authorize_change(user, Action.CLEAR, id)
        await self._results.clear(id)

    async def clear_results(self, user: User) -> None:
        """Remove all downloads that have finished so far from the list of results, which all users share.

        Raises:
            PermissionMissingError: the user does not have the permission.
        """
        self.authorize(user, Action.CLEAR)
        await self._results.clear_all()

    async def remove(self, user: User, id: str, *, with_file: bool) -> tuple[Download, bool]:
        """Remove a finished download from the history; return its last row, and True if its file was removed too.

        See `cancel` for the errors.

        Raises:
            InvalidStateError: the download has not finished.
            FileChangedError: the file is not the one that the download published; nothing is removed.
        """
        await self._authorize_change(user, Action.REMOVE, id)
        download = (await self._manager.get(id)).download
        return download, await self._history.remove(download, with_file=with_file)

    async def remove_matching(self, user: User, criteria: HistoryFilter) -> RemovalCount:
        """Remove all finished downloads that match, without their files; those in directories of others stay.

        Raises:
            PermissionMissingError: the user does not have the permission.
        """
        self.authorize(user, Action.REMOVE)
        return await self._history.remove_matching(criteria, self._directories_of(user))

    async def accept_storage(self, user: User) -> RootIdentity:
        """Use the storage root that is there from now on, though another one was used before; return its identity.

        Raises:
            PermissionMissingError: the user does not have the permission, or may not use the root itself.
            StorageRootMissingError: there is no directory.
        """
        self._rights.require(user, Action.ACCEPT_STORAGE, directory="")
        return await self._storage.accept()

    def _directories_of(self, user: User) -> Callable[[str], bool]:
        """Return the function that returns True for directories in which the user may change downloads."""
        return lambda directory: self._rights.can_use_directory(user, directory)

    async def _authorize_change(self, user: User, action: Action, id: str) -> None:
        self.authorize(user, action)
        snapshot = await self._manager.get(id)
        self._rights.require(user, action, directory=snapshot.download.request.directory)


def is_refused_for_full_queue(downloads: Sequence[Download]) -> bool:
    """Return True if no download was accepted, and the first one was refused because the queue is full."""
    return downloads[0].result.error is ErrorCode.QUEUE_FULL and all(
        download.state is State.FAILED for download in downloads
    )


def _storing(user: User, key: IdempotencyKey, render: RenderResponse, clock: Clock) -> MakeStoredResponse:
    """Return the maker of the response that is stored under a key."""

    def make_stored_response(downloads: Sequence[Download]) -> StoredResponse | None:
        if is_refused_for_full_queue(downloads):
            # The same request is meant to succeed later.
            return None
        response = render(downloads)
        return StoredResponse(
            user=user.id,
            key=key.key,
            fingerprint=key.fingerprint,
            status=response.status,
            body=response.body,
            created=clock.wall(),
        )

    return make_stored_response
