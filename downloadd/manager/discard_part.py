"""Removal of part files that no download continues from."""

import structlog

from downloadd.download import Download
from downloadd.errors import DownloadError
from downloadd.storage.destination import Destination

log = structlog.get_logger()


async def discard_part_of(destination: Destination, download: Download) -> None:
    """Remove the part file of a download and a superseded one, if it has them; log a failure."""
    superseded = download.progress.superseded
    for name in (download.progress.part_name, None if superseded is None else superseded.part_name):
        if name is not None:
            await discard_part(destination, download_id=download.id, directory=download.part_directory, name=name)


async def discard_part(destination: Destination, *, download_id: str, directory: str, name: str) -> bool:
    """Remove a part file; log a failure, after which the sweep of the next start tries again.

    Returns:
        True if the file is removed.
    """
    try:
        await destination.remove_part(directory=directory, name=name)
    except DownloadError as error:
        log.warning("part_removal_failed", download_id=download_id, error=error.code, detail=error.detail)
        return False
    return True
