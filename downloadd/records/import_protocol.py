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
    Selection,
    WorkspaceUser,
)

MAX_CHUNK_ROWS: Final = 2_000
"""Rows that one call of `ImportContentRecords.add` should write, and that a page of files should have."""


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

    async def add(self, operation: str, items: Sequence[WorkspaceUser | Channel | FileLink]) -> None:
        """Insert items, all or none, durable on return; users and channels that are known already are skipped."""
        ...

    async def users(self, operation: str) -> list[tuple[WorkspaceUser, bool]]:
        """Return the users of an import, each with True if it is selected."""
        ...

    async def channels(self, operation: str) -> list[tuple[Channel, bool]]:
        """Return the channels of an import, each with True if it is selected."""
        ...

    async def select(self, operation: str, selection: Selection) -> int:
        """Select users and channels, and make their avatars and files pending; durable on return.

        Returns the number of selected users and channels.
        """
        ...


class ImportFileRecords(Protocol):
    """Durable records of the files of imports. A run is an operation that downloads pending files."""

    async def reserve(self, run: str, user: str, kind: PendingKind) -> int:
        """Assign all pending files of a user to a run, durable on return, and return their number.

        A file whose download a user has retried meanwhile is counted as completed or downloading.
        """
        ...

    async def release(self, run: str) -> None:
        """Make the files pending again that a run has not claimed; durable on return."""
        ...

    async def claim(self, run: str, limit: int, new_id: Callable[[], str]) -> list[PendingFile]:
        """Return up to `limit` reserved files of a run, each with the id of a download to start; durable on return."""
        ...

    async def count_downloading(self, run: str) -> int:
        """Return the number of claimed files of a run whose downloads have not finished."""
        ...

    async def without_download(self, run: str, limit: int) -> list[PendingFile]:
        """Return claimed files of a run whose downloads were never started."""
        ...

    async def apply_outcomes(self) -> None:
        """Record which downloads have finished, durable on return; files that failed are pending again."""
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
