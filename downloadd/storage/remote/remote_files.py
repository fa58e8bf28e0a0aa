"""Finished files on other machines: recognised before they are read or removed."""

from typing import NoReturn

from downloadd.download import join_path
from downloadd.errors import FileChangedError, InvalidPathError, NotFoundError, NotOnDiskError
from downloadd.storage.finished_files import ReadableFile
from downloadd.storage.names import SafeDirectory, SafeName, parse_filename
from downloadd.storage.remote.remote_storage import FoundFile, RemoteStorage


def is_same_file(found: FoundFile, *, identity: str | None, checksum: str | None = None) -> bool:
    """Return True if a file is the published one with this identity, or has its checksum (`sha-256=…`)."""
    if identity is not None and identity == found.identity:
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
    if not is_same_file(found, identity=identity, checksum=checksum):
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


async def _find(storage: RemoteStorage, directory: SafeDirectory, filename: SafeName) -> tuple[str, str, FoundFile]:
    path, key = join_path(directory, filename), storage.key_of(directory, filename)
    found = await storage.find(key)
    if found is None:
        raise NotFoundError(f"{path} is not there any more")
    return path, key, found
