"""Reading of finished files in object storage."""

from contextlib import AsyncExitStack
from heapq import nsmallest
from types import TracebackType
from typing import BinaryIO, Self

import aiohttp

from downloadd.errors import FileChangedError, NotFoundError
from downloadd.storage.directory_entries import DirectoryEntry
from downloadd.storage.objects.bucket import Bucket
from downloadd.storage.objects.client import ObjectClient
from downloadd.storage.objects.description import parse_identity
from downloadd.storage.objects.errors import ObjectStorageError
from downloadd.storage.remote.remote_files import is_shown, refuse_duplicate
from downloadd.storage.remote.remote_storage import FoundFile


class FinishedObject:
    """An open finished file; implements `ReadableFile`. Bytes that are read in order come from one request."""

    def __init__(self, bucket: Bucket, key: str, found: FoundFile, *, path: str) -> None:
        self.size = found.size
        self.modified_ns = int(found.modified) * 10**9
        self._bucket = bucket
        self._key = key
        self._etag = parse_identity(found.identity)
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
                self._content = await self._bucket.call(lambda client: self._open(client, offset))
            except ObjectStorageError as error:
                raise FileChangedError(f"{self._path} was replaced or removed while it was read") from error
            self._position = offset
        pieces = bytearray()
        try:
            while len(pieces) < nbytes and (piece := await self._content.read(nbytes - len(pieces))):
                pieces += piece
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            self._content = None
            raise self._bucket.map_error(ObjectStorageError(str(error) or type(error).__name__)) from error
        self._position += len(pieces)
        return bytes(pieces)

    def duplicate(self) -> BinaryIO:
        """Refuse: the file is not on this machine."""
        refuse_duplicate(self._path)

    async def _open(self, client: ObjectClient, offset: int) -> aiohttp.StreamReader:
        return await self._stack.enter_async_context(client.get(self._key, etag=self._etag, start=offset))


async def list_objects(
    bucket: Bucket, prefix: str, *, after: str, limit: int, missing: str | None
) -> list[DirectoryEntry]:
    """Return files and directories below a prefix; see `FileReader.list_entries`.

    Raises:
        NotFoundError: there are none, and `missing` names the directory.
    """
    entries: dict[str, DirectoryEntry] = {}
    token: str | None = None
    is_enough = False
    while True:
        page = await bucket.call(
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
    if not entries and not after and missing is not None:
        raise NotFoundError(f"there is no directory {missing}")
    shown = [entry for name, entry in entries.items() if name > after and is_shown(name)]
    return nsmallest(limit, shown, key=lambda entry: entry.name)
