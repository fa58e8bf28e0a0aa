"""The views that users have of downloads: active ones, the history, origins and directories.

Every interface for users reads here, and changes by `DownloadService`.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

from downloadd.download import Download, Snapshot
from downloadd.errors import InvalidStateError
from downloadd.manager.history_removal import HistoryEditor
from downloadd.manager.protocol import DownloadManager, QueueManager, ResultCount, ResultManager
from downloadd.manager.queue_report import OriginList
from downloadd.node import Node
from downloadd.records.protocol import ActiveFilter, HistoryFilter
from downloadd.rights import Action, Rights
from downloadd.states import State
from downloadd.storage.directory_entries import DirectoryEntry
from downloadd.storage.finished_files import FileReader, ReadableFile
from downloadd.storage.names import parse_filename
from downloadd.user_quota import UserQuotaUse
from downloadd.users import User

MAX_NAMED_DOWNLOADS: Final = 1000
"""Newest completed downloads of a directory whose ids its listing has."""


async def _read_no_quota(user: str) -> UserQuotaUse:
    return UserQuotaUse(user=user)


class DownloadViews:
    """Downloads as their users see them."""

    def __init__(
        self,
        *,
        manager: DownloadManager,
        queue: QueueManager,
        results: ResultManager,
        find_gid: Callable[[str], Awaitable[Snapshot]],
        history: HistoryEditor,
        find_directories: Callable[[str, int], Awaitable[list[str]]],
        find_nodes: Callable[[], Awaitable[Sequence[Node]]],
        files: FileReader,
        rights: Rights,
        read_quota: Callable[[str], Awaitable[UserQuotaUse]] = _read_no_quota,
    ) -> None:
        """Make the views.

        Args:
            manager: the manager of the downloads.
            queue: the waiting list.
            results: the list of results.
            find_gid: returns the download of a gid or its prefix.
            history: knows the last removal of finished downloads.
            find_directories: returns up to so many directories below the storage root that begin with a prefix.
            find_nodes: returns all nodes by name.
            files: opens finished files.
            rights: the checks of what a user may do.
            read_quota: returns the use of the quotas of a user.
        """
        self._read_quota = read_quota
        self._manager = manager
        self._queue = queue
        self._results = results
        self._find_gid = find_gid
        self._history = history
        self._find_directories = find_directories
        self._find_nodes = find_nodes
        self._files = files
        self._rights = rights

    async def get(self, user: User, id: str) -> Snapshot:
        """Return a download, active or finished.

        Raises:
            PermissionMissingError: the user does not have the permission.
            NotFoundError: the id is unknown.
        """
        self._rights.require(user, Action.VIEW)
        return await self._manager.get(id)

    async def completed(self, user: User, id: str) -> Download:
        """Return a completed download whose file the user may read.

        Raises:
            PermissionMissingError: the user does not have the permission, or may not use the directory.
            NotFoundError: the id is unknown.
            InvalidStateError: the download is not completed, so that it has no file.
        """
        self._rights.require(user, Action.READ_FILE)
        download = (await self._manager.get(id)).download
        self._rights.require(user, Action.READ_FILE, directory=download.request.directory)
        if download.state is not State.COMPLETED:
            raise InvalidStateError(f"the download is {download.state}; only a completed one has a file")
        return download

    async def open_file(self, user: User, id: str) -> tuple[Download, ReadableFile]:
        """Return a completed download and its open file; see `completed` for more errors.

        Raises:
            NotFoundError: the file is not there any more.
            FileChangedError: the file is not the one that the download published.
        """
        download = await self.completed(user, id)
        file = await self._files.open(
            directory=download.request.directory,
            filename=parse_filename(download.filename),
            identity=download.result.file_identity,
        )
        return download, file

    async def files(
        self, user: User, directory: str, *, after: str, limit: int
    ) -> list[tuple[DirectoryEntry, str | None]]:
        """Return up to `limit` files and directories in a directory after a name, ordered by name.

        Beside each is the id of the completed download that has this name, if it is among the newest there.

        Raises:
            PermissionMissingError: the user does not have the permission, or may not use the directory.
            InvalidPathError: no directory can have this path.
            NotFoundError: there is no such directory.
        """
        self._rights.require(user, Action.READ_FILE, directory=directory)
        entries = await self._files.list_entries(directory, after=after, limit=limit)
        newest = HistoryFilter(directory=directory, state=State.COMPLETED, limit=MAX_NAMED_DOWNLOADS)
        # The newest of a name is the last one to be put in.
        ids = {each.filename: each.id for each in reversed(await self._manager.history(newest))}
        return [(entry, None if entry.is_directory else ids.get(entry.name)) for entry in entries]

    async def wait(self, user: User, id: str, seconds: float) -> Download:
        """Return the row when the download has ended, or as it is after `seconds`; see `get` for the errors."""
        self._rights.require(user, Action.VIEW)
        return await self._manager.wait(id, seconds)

    async def active(self, user: User, criteria: ActiveFilter) -> list[Snapshot]:
        """Return active downloads, oldest first.

        Raises:
            PermissionMissingError: the user does not have the permission.
        """
        self._rights.require(user, Action.VIEW)
        return await self._manager.active(criteria)

    async def queue(self, user: User, offset: int, limit: int) -> list[Snapshot]:
        """Return a part of the waiting list; from the end backwards if `offset` is negative, -1 for the last one.

        Queued and paused downloads, and running ones that are being paused, in the order of starting, without the
        reasons why they wait. See `active` for the errors.
        """
        self._rights.require(user, Action.VIEW)
        return await self._queue.page(offset, limit)

    async def queue_revision(self, user: User) -> int:
        """Return a number that grows when the waiting list or a row of it has changed; see `active` for the errors.

        A call of `queue` that begins now returns this revision or a newer one. Rows of running downloads, which are
        being paused, change without it.
        """
        self._rights.require(user, Action.VIEW)
        return await self._queue.revision()

    def speed(self, user: User) -> float:
        """Return the bytes a second of all downloads together; see `active` for the errors."""
        self._rights.require(user, Action.VIEW)
        return self._manager.speed()

    async def counts(self, user: User) -> Mapping[State, int]:
        """Return the number of downloads in each active state; see `active` for the errors.

        Running ones that are being paused count as paused, so that the queued and the paused ones together are as many
        as the waiting list has. The number of more than 50,000 may be some seconds old.
        """
        self._rights.require(user, Action.VIEW)
        return await self._manager.counts()

    async def results(self, user: User, offset: int, limit: int) -> list[Download]:
        """Return a part of the newest 1,000 finished downloads that are not cleared, oldest end first.

        See `active` for the errors.
        """
        self._rights.require(user, Action.VIEW)
        return await self._results.page(offset, limit)

    async def results_revision(self, user: User) -> int:
        """Return a number that grows when the list of results or a row of it has changed; see `active` for the errors.

        A call of `results` that begins now returns this revision or a newer one.
        """
        self._rights.require(user, Action.VIEW)
        return await self._results.revision()

    async def result_count(self, user: User) -> ResultCount:
        """Return the number of results, and of all finished downloads; see `active` for the errors."""
        self._rights.require(user, Action.VIEW)
        return await self._results.count()

    async def find_gid(self, user: User, gid: str) -> Snapshot:
        """Return the download with a gid, or with the only gid that begins with a prefix; lower case.

        A prefix is searched among the active downloads and the results. See `get` for the errors.

        Raises:
            GidNotUniqueError: several gids begin with the prefix.
        """
        self._rights.require(user, Action.VIEW)
        return await self._find_gid(gid)

    async def history(self, user: User, criteria: HistoryFilter) -> list[Download]:
        """Return a page of finished downloads; see `active` for the errors."""
        self._rights.require(user, Action.VIEW)
        return await self._manager.history(criteria)

    async def ended_since(self, user: User, ended_seq: int, limit: int) -> list[Download]:
        """Return downloads that ended after the one with `ended_seq`, oldest end first; see `active` for the errors."""
        self._rights.require(user, Action.VIEW)
        return await self._manager.ended_since(ended_seq, limit)

    async def origins(self, user: User, limit: int) -> OriginList:
        """Return up to `limit` origins in use or in trouble, the latter first; see `active` for the errors."""
        self._rights.require(user, Action.VIEW)
        return await self._manager.origins(limit)

    async def quota(self, user: User) -> UserQuotaUse:
        """Return the use of the quotas of the user; see `active` for the errors."""
        self._rights.require(user, Action.VIEW)
        return await self._read_quota(user.id)

    async def nodes(self, user: User) -> Sequence[Node]:
        """Return all nodes by name, those included that are gone for less than a day; see `active` for the errors.

        Raises:
            StoreUnavailableError: the records cannot be used at the moment.
        """
        self._rights.require(user, Action.VIEW)
        return await self._find_nodes()

    async def last_removal(self, user: User) -> int:
        """Return the newest `ended_seq` just before the last removal, 0 without one; see `active` for the errors."""
        self._rights.require(user, Action.VIEW)
        return await self._history.last_removal()

    async def directories(self, user: User, prefix: str, limit: int) -> list[str]:
        """Return directories that begin with `prefix` and that the user may use, of `limit` that exist.

        Raises:
            PermissionMissingError: the user does not have the permission.
        """
        self._rights.require(user, Action.LIST_DIRECTORIES)
        found = await self._find_directories(prefix, limit)
        return [directory for directory in found if self._rights.can_use_directory(user, directory)]
