"""Finished files in memory."""

from io import BytesIO
from types import TracebackType
from typing import BinaryIO, Self

from downloadd.download import join_path
from downloadd.errors import FileChangedError, NotFoundError
from downloadd.storage.directory_entries import DirectoryEntry
from downloadd.storage.names import SafeName


class FakeFile:
    """Fake of `ReadableFile`."""

    def __init__(self, content: bytes, modified_ns: int) -> None:
        self.content = content
        self.size = len(content)
        self.modified_ns = modified_ns
        self.is_closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.is_closed = True

    async def read(self, offset: int, nbytes: int) -> bytes:
        assert not self.is_closed
        return self.content[offset : offset + nbytes]

    def duplicate(self) -> BinaryIO:
        return BytesIO(self.content)


class FakeFiles:
    """Fake of `FileReader`.

    Attributes:
        files: the files by path.
        changed: paths of files that are not those that were published.
    """

    def __init__(self) -> None:
        self.files: dict[str, FakeFile] = {}
        self.changed: set[str] = set()

    def put(self, path: str, content: bytes, *, modified: int = 1_000_000_000) -> FakeFile:
        """Publish a file; `modified` in Unix seconds."""
        self.files[path] = FakeFile(content, modified * 10**9)
        return self.files[path]

    async def open_present(self, *, directory: str, filename: SafeName) -> None:
        """Say that no file can be recognised."""

    async def open(self, *, directory: str, filename: SafeName, identity: str | None) -> FakeFile:
        path = join_path(directory, filename)
        if path in self.changed:
            raise FileChangedError(f"{path} is not the file that this download published")
        if path not in self.files:
            raise NotFoundError(f"{path} is not there any more")
        file = self.files[path]
        file.is_closed = False
        return file

    async def list_entries(self, directory: str, *, after: str, limit: int) -> list[DirectoryEntry]:
        names = sorted(path.rpartition("/")[2] for path in self.files if path.rpartition("/")[0] == directory)
        if not names:
            raise NotFoundError(f"there is no directory {directory}")
        return [
            DirectoryEntry(
                name=name,
                is_directory=False,
                size=self.files[join_path(directory, name)].size,
                modified=self.files[join_path(directory, name)].modified_ns // 10**9,
            )
            for name in names
            if name > after
        ][:limit]
