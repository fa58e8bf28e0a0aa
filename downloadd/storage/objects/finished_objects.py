"""Reading of finished files in object storage."""

from contextlib import AsyncExitStack
from heapq import nsmallest
from types import TracebackType
from typing import BinaryIO, Self

import aiohttp

from downloadd.download import join_path
from downloadd.errors import FileChangedError, InvalidPathError, NotFoundError, NotOnDiskError
from downloadd.storage.directory_entries import DirectoryEntry
from downloadd.storage.names import SafeDirectory, SafeName, parse_filename
from downloadd.storage.objects.client import ObjectClient, ObjectHead
from downloadd.storage.objects.description import is_same_file
from downloadd.storage.objects.errors import ObjectStorageError
from downloadd.storage.objects.storage import ObjectStorage


class FinishedObject:
    """An open finished file; implements `ReadableFile`. Bytes that are read in order come from one request."""

    def __init__(self, storage: ObjectStorage, key: str, head: ObjectHead, *, path: str) -> None:
        self.size = head.size
        self.modified_ns = int(head.modified) * 10**9
        self._storage = storage
        self._key = key
        self._etag = head.etag
        self._path = path
        self._stack = AsyncExitStack()
        self._content: aiohttp.StreamReader | None = None
        self._position = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def read(self, offset: int, nbytes: int) -> bytes:
        """Return `nbytes` bytes from `offset` on, or fewer at the end of the file.

        Raises:
            FileChangedError: it was replaced meanwhile.
            DownloadError: the storage does not answer.
        """
        if offset >= self.size or nbytes <= 0:
            return b""
        if self._content is None or offset != self._position:
            await self._stack.aclose()
            try:
                self._content = await self._storage.call(lambda client: self._open(client, offset))
            except ObjectStorageError as error:
                raise FileChangedError(f"{self._path} was replaced or removed while it was read") from error
            self._position = offset
        pieces = bytearray()
        try:
            while len(pieces) < nbytes and (piece := await self._content.read(nbytes - len(pieces))):
                pieces += piece
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            self._content = None
            raise self._storage.map_error(ObjectStorageError(str(error) or type(error).__name__)) from error
        self._position += len(pieces)
        return bytes(pieces)

    def duplicate(self) -> BinaryIO:
        """Refuse: the file is not on this machine.

        Raises:
            NotOnDiskError: always.
        """
        raise NotOnDiskError(
            f"{self._path} is in object storage; extract and move_to act on files on the disk: "
            "save it in a directory without [[storages]]"
        )

    async def _open(self, client: ObjectClient, offset: int) -> aiohttp.StreamReader:
        return await self._stack.enter_async_context(client.get(self._key, etag=self._etag, start=offset))


async def open_present_object(storage: ObjectStorage, directory: SafeDirectory, filename: SafeName) -> FinishedObject:
    """Open the file of a name, whoever has put it there.

    Raises:
        NotFoundError: there is none.
    """
    path, key = join_path(directory, filename), storage.key_of(directory, filename)
    head = await storage.head(key)
    if head is None:
        raise NotFoundError(f"{path} is not there any more")
    return FinishedObject(storage, key, head, path=path)


async def open_object(
    storage: ObjectStorage, directory: SafeDirectory, filename: SafeName, identity: str | None
) -> FinishedObject:
    """Open the file that a download has published; see `FileReader.open`."""
    path, key = join_path(directory, filename), storage.key_of(directory, filename)
    head = await storage.head(key)
    if head is None:
        raise NotFoundError(f"{path} is not there any more")
    if not is_same_file(head, identity=identity):
        reason = "is not the file" if identity else "cannot be recognised as the file"
        raise FileChangedError(f"{path} {reason} that this download published")
    return FinishedObject(storage, key, head, path=path)


async def list_objects(
    storage: ObjectStorage, directory: SafeDirectory, *, after: str, limit: int
) -> list[DirectoryEntry]:
    """Return files and directories of a storage; see `FileReader.list_entries`."""
    prefix = storage.prefix_of(directory)
    entries: dict[str, DirectoryEntry] = {}
    token: str | None = None
    is_enough = False
    while True:
        page = await storage.call(
            lambda client, token=token: client.list_objects(  # type: ignore[misc]
                prefix, delimiter="/", after=f"{prefix}{after}" if after else "", token=token
            )
        )
        for each in page.objects:
            name = each.key.removeprefix(prefix)
            entries[name] = DirectoryEntry(name=name, is_directory=False, size=each.size, modified=each.modified)
        for each in page.prefixes:
            name = each.removeprefix(prefix).rstrip("/")
            entries[name] = DirectoryEntry(name=name, is_directory=True, size=0, modified=0)
        token = page.next_token
        # The order of the keys has a directory after files whose names begin with its own, such as `f.txt` before `f/`.
        if token is None or is_enough:
            break
        is_enough = len(entries) > limit
    if not entries and not after and directory != storage.path:
        raise NotFoundError(f"there is no directory {directory}")
    shown = [entry for name, entry in entries.items() if name > after and _is_shown(name)]
    return nsmallest(limit, shown, key=lambda entry: entry.name)


def _is_shown(name: str) -> bool:
    """Return True if a download can have this name, which programs that use the bucket choose too."""
    if name.startswith("."):
        return False
    try:
        return parse_filename(name) == name
    except InvalidPathError:
        return False


async def remove_object(
    storage: ObjectStorage, directory: SafeDirectory, filename: SafeName, *, identity: str | None, checksum: str | None
) -> bool:
    """Remove a published file; see `Destination.remove_file`."""
    key = storage.key_of(directory, filename)
    head = await storage.head(key)
    if head is None:
        return False
    if not is_same_file(head, identity=identity, checksum=checksum):
        raise FileChangedError(
            f"{join_path(directory, filename)} is not the file that this download published, or cannot be recognised; "
            "it was not removed"
        )
    await storage.call(lambda client: client.delete(key))
    return True
