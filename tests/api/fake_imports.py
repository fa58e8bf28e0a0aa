"""An import engine that has nothing, and refuses nothing: what the API asks of it is tested end to end."""

from collections.abc import AsyncIterator

from downloadd.errors import NotFoundError
from downloadd.imports.importing import FileData
from downloadd.operation import Kind, Operation, Selection, Status


class FakeImports:
    """Remembers the operations that were made."""

    directory = "Imports"

    def __init__(self) -> None:
        self.operations: list[Operation] = []
        self.uploaded = b""

    async def upload(
        self, kind: Kind, pieces: AsyncIterator[bytes], *, user: str, name: str, content_type: str | None
    ) -> Operation:
        self.uploaded = b"".join([piece async for piece in pieces])
        return self._new(kind, user, Status.FILE_LOADED)

    async def fetch(self, kind: Kind, url: str, *, user: str) -> Operation:
        return self._new(kind, user, Status.DOWNLOADING_FILE)

    async def file_data(self, user: str) -> FileData | None:
        return FileData()

    async def start(self, selection: Selection, *, user: str) -> Operation:
        return self._new(Kind.SLACK, user, Status.DONE)

    async def download_pending(self, kind: Kind, *, user: str) -> int:
        return 0

    async def cancel(self, id: str, *, user: str) -> Operation:
        raise NotFoundError("no import operation has this id")

    async def current(self, user: str) -> Operation | None:
        return self.operations[-1] if self.operations else None

    async def latest(self) -> list[Operation]:
        return self.operations[::-1]

    def _new(self, kind: Kind, user: str, status: Status) -> Operation:
        operation = Operation(id="MJxTRZsYdho8Ww2qq", kind=kind, user=user, ts=0, updated_at=0, status=status)
        self.operations.append(operation)
        return operation
