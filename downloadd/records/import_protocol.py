"""Protocols of the records of imports, independent of the database.

The calls keep the promises of `records.protocol`: on return, a change is durable.

Each write for an operation is made by a driver, which raises the epoch of the operation before it begins. If another
one has raised it since, the write raises `ImportFencedError` and changes nothing.
"""

from collections.abc import Callable, Collection, Sequence
from typing import Final, Protocol

import msgspec

from downloadd.import_operation import (
    Channel,
    Driver,
    FileCounts,
    FileLink,
    ImportOperation,
    ImportState,
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


class ImportFencedError(Exception):
    """Write of a driver whose operation another one has taken over.

    Attributes:
        driver: the driver, which must stop.
    """

    def __init__(self, driver: Driver) -> None:
        super().__init__(f"the driver of epoch {driver.epoch} does not hold the import operation {driver.operation}")
        self.driver = driver


class Reservation(msgspec.Struct, frozen=True, kw_only=True):
    """Run with the files that were assigned to it."""

    run: ImportOperation
    """As it is recorded: with the number of the files, and the imports that they belong to or that were asked for."""
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

    async def claim(
        self, id: str, states: Collection[ImportState], *, epoch: int | None = None
    ) -> ImportOperation | None:
        """Take over an operation in one of these states: its epoch becomes one higher, durable on return.

        Returns the operation; None if it is unknown or in another state, which is not changed. With an `epoch`, it is
        not changed either if it has another one: another driver has taken it over.

        Raises:
            StorageError: its row is damaged.
        """
        ...

    async def require(self, driver: Driver) -> None:
        """Return if the driver holds its operation.

        Raises:
            ImportFencedError: it does not.
        """
        ...

    async def save(self, operation: ImportOperation, *, driver: Driver | None = None) -> None:
        """Write all fields of an operation but the epoch, durable on return; an invalid one stays invalid.

        Args:
            operation: the operation.
            driver: the driver of another operation that writes this one; None for the driver of this one.

        Raises:
            ImportFencedError: the driver does not hold its operation; nothing was written.
        """
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

    async def abandoned(self) -> list[ImportOperation]:
        """Return those of `unfinished` that no living node drives: for a store of one node all, as after a start."""
        ...

    async def sources(self, run: str) -> list[ImportOperation]:
        """Return the imports that the files of a run belong to."""
        ...


class ImportContentRecords(Protocol):
    """Durable records of the content of import files."""

    async def clear(self, driver: Driver) -> None:
        """Delete the content of the driver's operation, so that its file can be read again; durable on return.

        Raises:
            ImportFencedError: the driver does not hold its operation; nothing was deleted.
        """
        ...

    async def add(self, driver: Driver, items: Sequence[ContentItem], *, operation: str | None = None) -> None:
        """Insert items, all or none, durable on return.

        Users, channels, and files of a channel, that are known already are not inserted again.

        Args:
            driver: the driver.
            items: the items.
            operation: the import that they belong to; None for that of the driver.

        Raises:
            ImportFencedError: the driver does not hold its operation; nothing was inserted.
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

    async def select(self, driver: Driver, selection: Selection) -> int:
        """Select users and channels of the driver's operation; durable on return.

        Their avatars and files become pending. A file that several selected channels name is pending once. Safe to
        repeat before a run.

        Returns the number of selected users and channels.

        Raises:
            ImportFencedError: the driver does not hold its operation; nothing was selected.
        """
        ...


class ImportFileRecords(Protocol):
    """Durable records of the files of imports. A run is an operation that downloads pending files.

    Each write of a driver raises `ImportFencedError` and changes nothing if the driver does not hold its run.
    """

    async def reserve(self, run: ImportOperation, request: PendingRequest) -> Reservation:
        """Record a run as `ImportOperationRecords.create` does, and assign pending files of its user to it.

        Both are durable on return, in one transaction. The sources of the run are extended by those of the files.
        Files that failed or were cancelled are assigned only if the request asks to retry them. One whose download a
        user has retried meanwhile is counted as completed or downloading.
        """
        ...

    async def release(self, driver: Driver) -> None:
        """Cancel the files that the driver's run has not claimed; durable on return."""
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
        self, driver: Driver, limit: int, new_id: Callable[[], str], *, lists_only: bool = False
    ) -> list[PendingFile]:
        """Return up to `limit` reserved files of the driver's run, each with the id of a download to start.

        With `lists_only`, only lists of checksums. Durable on return.
        """
        ...

    async def place(self, driver: Driver, file: PendingFile, path: str) -> None:
        """Record the path that a file of an archive is about to get; durable on return."""
        ...

    async def settle(self, driver: Driver, file: PendingFile) -> None:
        """Record the status, size, checksum, error and its detail of a file without a download; durable on return.

        Such a file is in an archive, or failed before its download.
        """
        ...

    async def set_links(self, driver: Driver, files: Sequence[PendingFile]) -> None:
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
