"""Protocols of the records of imports, independent of the database.

The calls keep the promises of `records.protocol`: on return, a change is durable.
"""

from collections.abc import Callable, Sequence
from typing import Final, Protocol

import msgspec

from downloadd.import_operation import (
    Channel,
    FileCounts,
    FileLink,
    ImportOperation,
    PendingFile,
    PendingKind,
    PendingRequest,
    Selection,
    SkippedEntry,
    WorkspaceUser,
)

MAX_CHUNK_ROWS: Final = 2_000
"""Rows that one call of `ImportContentRecords.add` should write, and that a page of files should have."""

ContentItem = WorkspaceUser | Channel | FileLink | SkippedEntry
"""Item of an import file that is recorded."""


class Reservation(msgspec.Struct, frozen=True, kw_only=True):
    """Files that were assigned to a run."""

    count: int
    sources: tuple[str, ...]
    """Ids of the imports that they belong to, and of those that were asked for."""
    earlier_runs: tuple[str, ...] = ()
    """Ids of the runs that had them before."""


class GivenUp(msgspec.Struct, frozen=True, kw_only=True):
    """Files that were given up."""

    count: int
    runs: tuple[str, ...]
    """Ids of the runs that they belong to."""


class ImportOperationRecords(Protocol):
    """Durable records of import operations."""

    async def create(self, operation: ImportOperation) -> None:
        """Insert an operation, and make the user's earlier ones invalid; both are durable on return."""
        ...

    async def save(self, operation: ImportOperation) -> None:
        """Write all fields of an operation, durable on return; an invalid one stays invalid."""
        ...

    async def get(self, id: str) -> ImportOperation | None:
        """Return an operation; None if it is unknown.

        Raises:
            StorageError: its row is damaged.
        """
        ...

    async def current(self, user: str) -> ImportOperation | None:
        """Return the user's newest operation."""
        ...

    async def latest(self, count: int) -> list[ImportOperation]:
        """Return the operations of all users that were updated last, newest first."""
        ...

    async def unfinished(self) -> list[ImportOperation]:
        """Return the operations to continue, oldest first: valid unfinished ones, and all that download files."""
        ...

    async def sources(self, run: str) -> list[ImportOperation]:
        """Return the imports that the files of a run belong to."""
        ...


class ImportContentRecords(Protocol):
    """Durable records of the content of import files."""

    async def clear(self, operation: str) -> None:
        """Delete the content of an operation, so that its file can be read again; durable on return."""
        ...

    async def add(self, operation: str, items: Sequence[ContentItem]) -> None:
        """Insert items, all or none, durable on return.

        Users, channels, and files of a channel, that are known already are not inserted again.
        """
        ...

    async def users(self, operation: str, after: str, limit: int) -> list[tuple[WorkspaceUser, bool]]:
        """Return up to `limit` users of an import with ids above `after`, by id; each with True if it is selected."""
        ...

    async def channels(self, operation: str, after: str, limit: int) -> list[tuple[Channel, bool]]:
        """Return up to `limit` channels of an import, as `users` does."""
        ...

    async def skipped(self, operation: str, after: int, limit: int) -> list[tuple[int, SkippedEntry]]:
        """Return up to `limit` parts of an import that are not imported, with numbers above `after`, by number.

        Only those that belong to no channel or to a selected one, and whose file no selected channel contains.
        """
        ...

    async def count_skipped(self, operation: str) -> int:
        """Return the number of entries that `skipped` lists."""
        ...

    async def select(self, operation: str, selection: Selection) -> int:
        """Select users and channels, and make their avatars and files pending; durable on return.

        A file that several selected channels name is pending once. Safe to repeat before a run.

        Returns the number of selected users and channels.
        """
        ...


class ImportFileRecords(Protocol):
    """Durable records of the files of imports. A run is an operation that downloads pending files."""

    async def reserve(self, run: str, user: str, request: PendingRequest) -> Reservation:
        """Assign pending files of a user to a run, durable on return.

        The caller records the run before the next reservation; those of runs that were never recorded are undone.
        Files that failed or were cancelled are assigned only if the request asks to retry them. One whose download a
        user has retried meanwhile is counted as completed or downloading.
        """
        ...

    async def release(self, run: str) -> None:
        """Cancel the files that a run has not claimed; durable on return."""
        ...

    async def give_up(self, imports: Sequence[str], kind: PendingKind | None) -> GivenUp:
        """End the files of imports that are pending, failed or cancelled, so that they are not tried again.

        Only those of a kind, if one is given. Durable on return.
        """
        ...

    async def needs_archive(self, operation: str, *, found: bool) -> bool:
        """Return True if files of an import must still be taken from its archive.

        Args:
            operation: the import.
            found: True to count files that are not selected, because a selection is expected.
        """
        ...

    async def claim(
        self, run: str, limit: int, new_id: Callable[[], str], *, lists_only: bool = False
    ) -> list[PendingFile]:
        """Return up to `limit` reserved files of a run, each with the id of a download to start; durable on return.

        With `lists_only`, only lists of checksums.
        """
        ...

    async def place(self, file: PendingFile, path: str) -> None:
        """Record the path that a file of an archive is about to get; durable on return."""
        ...

    async def settle(self, file: PendingFile) -> None:
        """Record the status, size, checksum, error and its detail of a file without a download; durable on return.

        Such a file is in an archive, or failed before its download.
        """
        ...

    async def set_links(self, files: Sequence[PendingFile]) -> None:
        """Replace the links of files that are not claimed; durable on return."""
        ...

    async def has_lists(self, imports: Sequence[str]) -> bool:
        """Return True if one of these imports has lists of checksums."""
        ...

    async def lists(self, operation: str, after: int, limit: int) -> list[PendingFile]:
        """Return the lists of checksums of an import that belong to any run, with numbers above `after`, by number."""
        ...

    async def count_lists(self, run: str) -> int:
        """Return the number of lists of checksums of a run that are not finished."""
        ...

    async def count_downloading(self, run: str) -> int:
        """Return the number of claimed files of a run whose downloads have not finished."""
        ...

    async def without_download(self, run: str, limit: int) -> list[PendingFile]:
        """Return claimed files of a run that have no download: it was never started, or they are in an archive."""
        ...

    async def apply_outcomes(self) -> None:
        """Record which downloads have finished; durable on return."""
        ...

    async def count(self, run: str) -> FileCounts:
        """Return the numbers of files of a run."""
        ...

    async def of_run(self, run: str, after: int, limit: int) -> list[PendingFile]:
        """Return the files of a run with numbers above `after`, by number."""
        ...

    async def of_import(self, operation: str, after: int, limit: int) -> list[PendingFile]:
        """Return the files of an import that belong to any run, with numbers above `after`, by number."""
        ...


class ImportRecords(msgspec.Struct, frozen=True, kw_only=True):
    """Records of imports, by subject."""

    operations: ImportOperationRecords
    contents: ImportContentRecords
    files: ImportFileRecords
