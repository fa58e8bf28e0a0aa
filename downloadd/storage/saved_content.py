"""Comparison of a saved file with content that is known by its checksum."""

import asyncio
import hashlib

from downloadd.errors import DownloadError
from downloadd.storage.destination import Destination
from downloadd.storage.names import SafeName
from downloadd.verify import DEFAULT_ALGORITHM, format_checksum


async def is_saved(destination: Destination, *, directory: str, filename: SafeName, checksum: str) -> bool:
    """Return True if the file of this name has a checksum by the default algorithm, in its normal form.

    False also if there is no such file, or if it cannot be read.
    """
    digest = hashlib.sha256()
    try:
        async for piece in destination.read_file(directory=directory, filename=filename):
            await asyncio.to_thread(digest.update, piece)
    except DownloadError:
        return False
    return format_checksum(DEFAULT_ALGORITHM, digest.hexdigest()) == checksum
