"""Files of users in memory, on the disk and in the records."""

from collections.abc import Collection, Sequence

from downloadd.errors import NotFoundError, StoreUnavailableError
from downloadd.records.user_files import UserFile
from downloadd.storage.directory_entries import DirectoryEntry


class FakeUserFiles:
    """Fake of `UserFiles`.

    Attributes:
        known: the files of the only user.
        parts: bytes of the part files, by id.
        forgotten: the files that were forgotten.
        is_away: each call fails.
    """

    def __init__(self) -> None:
        self.owners: Collection[str] = ()
        self.known: list[UserFile] = []
        self.parts: dict[str, int] = {}
        self.forgotten: list[UserFile] = []
        self.is_away = False
        self.counts = 0

    async def files(self, user: str) -> Sequence[UserFile]:
        self.counts += 1
        if self.is_away:
            raise StoreUnavailableError("away")
        return self.known

    async def part_bytes(self, user: str, *, without: Collection[str]) -> int:
        return sum(size for id, size in self.parts.items() if id not in without)

    async def forget(self, user: str, files: Sequence[UserFile]) -> None:
        self.forgotten += files


class FakeFileReader:
    """Fake of `FileLister`.

    Attributes:
        sizes: the sizes of the files on the disk, by directory and name.
    """

    def __init__(self) -> None:
        self.sizes: dict[tuple[str, str], int] = {}

    async def list_entries(self, directory: str, *, after: str, limit: int) -> list[DirectoryEntry]:
        names = sorted(name for place, name in self.sizes if place == directory)
        if not names:
            raise NotFoundError("no such directory")
        return [
            DirectoryEntry(name=name, is_directory=False, size=self.sizes[directory, name], modified=0)
            for name in names
            if name > after
        ][:limit]
