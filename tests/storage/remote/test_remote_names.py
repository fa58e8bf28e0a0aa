"""Names on another machine that downloads reserve."""

from collections.abc import Collection
from typing import cast

from downloadd.download import Conflict
from downloadd.storage.names import SafeDirectory, SafeName, parse_directory, parse_filename
from downloadd.storage.remote.remote_names import RemoteNames
from downloadd.storage.remote.remote_storage import FoundFile, RemoteStorage

FILE = parse_filename("f")
PLACE = parse_directory("d")


class TakenNames:
    """The part of a `RemoteStorage` that knows names."""

    def __init__(self, names: Collection[str]) -> None:
        self.names = names

    def key_of(self, directory: SafeDirectory, filename: SafeName) -> str:
        return f"{directory}/{filename}"

    def max_name_bytes(self, directory: SafeDirectory) -> int:
        return 255

    async def find(self, key: str) -> FoundFile | None:
        return FoundFile(size=1, modified=0.0, identity="") if key in self.names else None


async def test_a_reserved_name_is_taken_until_it_is_released() -> None:
    storage = cast(RemoteStorage, TakenNames({"d/f", "d/f (2)"}))
    names = RemoteNames()
    assert await names.exists(storage, PLACE, FILE)
    first = await names.reserve(storage, PLACE, FILE, Conflict.RENAME)
    assert first == "f (1)"
    assert await names.reserve(storage, PLACE, FILE, Conflict.RENAME) == "f (3)"
    names.release(PLACE, first)
    assert await names.reserve(storage, PLACE, FILE, Conflict.RENAME) == "f (1)"
    assert await names.reserve(storage, PLACE, FILE, Conflict.SKIP) is None
