"""Import service without records, which accepts everything; the real one is tested end to end."""

from collections.abc import AsyncIterator, Sequence
from typing import Final

from downloadd.errors import NotFoundError
from downloadd.import_operation import (
    PENDING_FILES,
    ImportOperation,
    ImportState,
    PendingRequest,
    Selection,
    SkippedEntry,
)
from downloadd.imports.selection import FileData
from downloadd.users import User

ANY_STATE: Final = frozenset(ImportState)
OPERATION_ID = "MJxTRZsYdho8Ww2qq"


def make_operation(
    *,
    id: str = OPERATION_ID,
    kind: str = "slack",
    user: str = "u",
    started_at: int = 0,
    state: ImportState = ImportState.NEW,
) -> ImportOperation:
    """Return an operation with defaults for all that a test does not name."""
    return ImportOperation(id=id, kind=kind, user=user, started_at=started_at, updated_at=started_at, state=state)


def make_run(id: str, user: str = "u") -> ImportOperation:
    """Return an operation that downloads pending files."""
    return make_operation(id=id, kind=PENDING_FILES, user=user, started_at=6, state=ImportState.DOWNLOADING)


class FakeImports:
    """Fake that remembers the operations that were created.

    Attributes:
        operations: the operations, oldest first.
        uploaded: content of the last upload.
        left_out: entries that `skipped` lists.
        requests: arguments of `download_pending`.
        cancelled: arguments of `cancel`.
        data: result of `file_data`.
        error: raised by every call, if it is set.
    """

    def __init__(self) -> None:
        self.operations: list[ImportOperation] = []
        self.uploaded = b""
        self.left_out: list[SkippedEntry] = []
        self.requests: list[PendingRequest] = []
        self.cancelled: list[tuple[str, bool]] = []
        self.data: FileData | None = FileData()
        self.error: Exception | None = None

    def authorize_upload(self, user: User) -> None:
        self._raise_error()

    async def upload(
        self, importer_key: str, pieces: AsyncIterator[bytes], *, user: User, name: str, content_type: str | None
    ) -> ImportOperation:
        self._raise_error()
        self.uploaded = b"".join([piece async for piece in pieces])
        return self._add(importer_key, user, ImportState.UPLOADED)

    async def fetch(self, importer_key: str, url: str, *, user: User) -> ImportOperation:
        self._raise_error()
        return self._add(importer_key, user, ImportState.FETCHING)

    async def file_data(self, user: User) -> FileData | None:
        self._raise_error()
        return self.data

    async def start(self, selection: Selection, *, user: User) -> ImportOperation:
        self._raise_error()
        return self._add("slack", user, ImportState.DONE)

    async def download_pending(self, request: PendingRequest, *, user: User) -> int:
        self._raise_error()
        self.requests.append(request)
        self._add(request.kind, user, ImportState.DOWNLOADING)
        return 0

    async def skipped(self, id: str, *, after: int, limit: int, user: User) -> Sequence[tuple[int, SkippedEntry]]:
        self._raise_error()
        return [(number, entry) for number, entry in enumerate(self.left_out, start=1) if number > after][:limit]

    async def cancel(self, id: str, *, give_up: bool = False, user: User) -> ImportOperation:
        self._raise_error()
        found = next((operation for operation in self.operations if operation.id == id), None)
        if found is None:
            raise NotFoundError("no import operation has this id")
        self.cancelled.append((id, give_up))
        return found

    async def current(self, user: User) -> ImportOperation | None:
        self._raise_error()
        return self.operations[-1] if self.operations else None

    async def latest(self, user: User) -> list[ImportOperation]:
        self._raise_error()
        return self.operations[::-1]

    def _add(self, kind: str, user: User, state: ImportState) -> ImportOperation:
        operation = make_operation(kind=kind, user=user.id, state=state)
        self.operations.append(operation)
        return operation

    def _raise_error(self) -> None:
        if self.error is not None:
            raise self.error
