"""Verification of an import file that was downloaded from its URL."""

import asyncio
import hashlib
from collections.abc import AsyncIterator

from downloadd.download import Download
from downloadd.errors import DownloadError
from downloadd.imports.refusal import ImportRefusedError
from downloadd.verify import DEFAULT_ALGORITHM, checksum_algorithm, format_checksum


async def verify_fetched(pieces: AsyncIterator[bytes], download: Download) -> AsyncIterator[bytes]:
    """Yield the pieces of a downloaded file, and compare its length and checksum with those of the download.

    Raises:
        ImportRefusedError: at the end, another file has its name now; or the file cannot be read.
    """
    expected_checksum = download.result.checksum
    hashed = expected_checksum is not None and checksum_algorithm(expected_checksum) == DEFAULT_ALGORITHM
    digest, size = hashlib.sha256(), 0
    try:
        async for piece in pieces:
            size += len(piece)
            if hashed:
                await asyncio.to_thread(digest.update, piece)
            yield piece
    except DownloadError as error:
        raise ImportRefusedError(f"the fetched file cannot be read: {error.detail}") from error
    if size != download.progress.received or (
        hashed and format_checksum(DEFAULT_ALGORITHM, digest.hexdigest()) != expected_checksum
    ):
        raise ImportRefusedError("another file has taken the place of the fetched one")
