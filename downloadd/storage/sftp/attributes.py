"""What SFTP says of a file."""

from typing import Final

from asyncssh import FILEXFER_TYPE_REGULAR, SFTPAttrs, SFTPClient, SFTPNoSuchFile

from downloadd.storage.remote.remote_storage import FoundFile

_IDENTITY: Final = "sftp:"


async def read_attributes(client: SFTPClient, path: str) -> SFTPAttrs | None:
    """Return the attributes of a file, not of what a symbolic link leads to; None if there is none."""
    try:
        return await client.lstat(path)
    except SFTPNoSuchFile:
        return None


def format_identity(size: int, modified: int) -> str:
    """Return the identity of an uploaded file, as it is recorded."""
    return f"{_IDENTITY}{size}:{modified}"


def describe_found(attributes: SFTPAttrs) -> FoundFile:
    """Return a file as what a storage says of it; what is not a regular file has no identity."""
    size, modified = attributes.size or 0, int(attributes.mtime or 0)
    is_file = attributes.type == FILEXFER_TYPE_REGULAR
    return FoundFile(size=size, modified=modified, identity=format_identity(size, modified) if is_file else "")
