"""An import engine that has nothing, and refuses nothing: what the API asks of it is tested end to end."""

from collections.abc import AsyncIterator

from downloadd.errors import NotFoundError
from downloadd.import_operation import ImportKind, ImportOperation, ImportStatus, Selection
from downloadd.imports.service import FileData


class FakeImports:
    """Remembers the operations that were made."""

    directory = "Imports"

    def __init__(self) -> None:
        self.operations: list[ImportOperation] = []
        self.uploaded = b""

    async def upload(
        self, kind: ImportKind, pieces: AsyncIterator[bytes], *, user: str, name: str, content_type: str | None
    ) -> ImportOperation:
        self.uploaded = b"".join([piece async for piece in pieces])
        return self._new(kind, user, ImportStatus.FILE_LOADED)

    async def fetch(self, kind: ImportKind, url: str, *, user: str) -> ImportOperation:
        return self._new(kind, user, ImportStatus.DOWNLOADING_FILE)

    async def file_data(self, user: str) -> FileData | None:
        return FileData()

    async def start(self, selection: Selection, *, user: str) -> ImportOperation:
        return self._new(ImportKind.SLACK, user, ImportStatus.DONE)

    async def download_pending(self, kind: ImportKind, *, user: str) -> int:
        return 0

    async def cancel(self, id: str, *, user: str) -> ImportOperation:
        raise NotFoundError("no import operation has this id")

    async def current(self, user: str) -> ImportOperation | None:
        return self.operations[-1] if self.operations else None

    async def latest(self) -> list[ImportOperation]:
        return self.operations[::-1]

    def _new(self, kind: ImportKind, user: str, status: ImportStatus) -> ImportOperation:
        operation = ImportOperation(id="MJxTRZsYdho8Ww2qq", kind=kind, user=user, ts=0, updated_at=0, status=status)
        self.operations.append(operation)
        return operation
