"""Part files that nothing goes on from."""

import structlog

from downloadd.errors import DownloadError
from downloadd.storage.destination import Destination

log = structlog.get_logger()


async def discard_part(destination: Destination, *, download_id: str, directory: str, name: str) -> bool:
    """Removes a part file; where that fails, says so in the log: the sweep after the next start tries again.

    Returns:
        Whether it is gone.
    """
    try:
        await destination.remove_part(directory=directory, name=name)
    except DownloadError as error:
        log.warning("part_removal_failed", download_id=download_id, error=error.code, detail=error.detail)
        return False
    return True
