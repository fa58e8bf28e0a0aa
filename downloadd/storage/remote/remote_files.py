"""Finished files on other machines: recognised before they are read or removed."""

import asyncio
from typing import Final, NoReturn

from downloadd.download import join_path
from downloadd.errors import FileChangedError, InvalidPathError, NotFoundError, NotOnDiskError
from downloadd.storage.finished_files import ReadableFile
from downloadd.storage.names import SafeDirectory, SafeName, parse_filename
from downloadd.storage.remote.remote_storage import FoundFile, RemoteStorage
from downloadd.storage.running_digests import RunningDigests
from downloadd.verify import checksum_algorithm, format_checksum

READ_CHUNK_BYTES: Final = 1 << 20
"""Bytes of a file that are read at once."""


def is_same_file(found: FoundFile, *, identity: str | None, checksum: str | None = None) -> bool:
    """Return True if a file is the published one with this identity, or has its checksum (`sha-256=…`)."""
    if identity and identity == found.identity:
        return True
    algorithm, _, digest = (checksum or "").partition("=")
    return algorithm == "sha-256" and bool(digest) and found.sha256 == digest


async def open_present_file(storage: RemoteStorage, directory: SafeDirectory, filename: SafeName) -> ReadableFile:
    """Open the file of a name, whoever has put it there.

    Raises:
        NotFoundError: there is none.
    """
    path, key, found = await _find(storage, directory, filename)
    return await storage.open_file(key, found, path=path)


async def open_published_file(
    storage: RemoteStorage, directory: SafeDirectory, filename: SafeName, identity: str | None
) -> ReadableFile:
    """Open the file that a download has published; see `FileReader.open`."""
    path, key, found = await _find(storage, directory, filename)
    if not is_same_file(found, identity=identity):
        reason = "is not the file" if identity else "cannot be recognised as the file"
        raise FileChangedError(f"{path} {reason} that this download published")
    return await storage.open_file(key, found, path=path)


async def remove_published_file(
    storage: RemoteStorage, directory: SafeDirectory, filename: SafeName, *, identity: str | None, checksum: str | None
) -> bool:
    """Remove a published file; see `Destination.remove_file`."""
    key = storage.key_of(directory, filename)
    found = await storage.find(key)
    if found is None:
        return False
    is_same = is_same_file(found, identity=identity, checksum=checksum)
    if not is_same and checksum is not None and found.identity and not found.sha256:
        is_same = await _has_checksum(storage, key, found, checksum)
    if not is_same:
        raise FileChangedError(
            f"{join_path(directory, filename)} is not the file that this download published, or cannot be recognised; "
            "it was not removed"
        )
    await storage.remove_file(key)
    return True


def is_shown(name: str) -> bool:
    """Return True if a download can have this name, which programs that use the storage choose too."""
    if name.startswith("."):
        return False
    try:
        return parse_filename(name) == name
    except InvalidPathError:
        return False


def refuse_duplicate(path: str) -> NoReturn:
    """Refuse to hand out a file that is not on this machine.

    Raises:
        NotOnDiskError: always.
    """
    raise NotOnDiskError(
        f"{path} is on another machine; extract and move_to act on files on the disk: "
        "save it in a directory without [[storages]]"
    )


async def _has_checksum(storage: RemoteStorage, key: str, found: FoundFile, checksum: str) -> bool:
    """Return True if the bytes of a file have a checksum, in the normal form of `verify`; all of them are read."""
    algorithm = checksum_algorithm(checksum)
    digests = RunningDigests([algorithm])
    async with await storage.open_file(key, found, path=key) as file:
        while piece := await file.read(digests.position, READ_CHUNK_BYTES):
            await asyncio.to_thread(digests.update, [piece], digests.position)
    return format_checksum(algorithm, digests.hexdigest(algorithm)) == checksum


async def _find(storage: RemoteStorage, directory: SafeDirectory, filename: SafeName) -> tuple[str, str, FoundFile]:
    path, key = join_path(directory, filename), storage.key_of(directory, filename)
    found = await storage.find(key)
    if found is None:
        raise NotFoundError(f"{path} is not there any more")
    return path, key, found
