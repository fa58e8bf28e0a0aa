"""Changes of active downloads: one that the transfer cannot continue with restarts it.

The restart is a pause and a resumption, which clients are not notified of. The download keeps the received bytes and
its place in the queue; another one may take its slot.
"""

from downloadd.download import Download
from downloadd.errors import InvalidStateError
from downloadd.fronts.aria2.methods.context import Context
from downloadd.fronts.aria2.status.status import Status, status_of
from downloadd.manager.protocol import DownloadChange


async def amend(context: Context, download: Download, changes: DownloadChange) -> None:
    """Change a download; restart its transfer if it cannot be changed while it runs.

    Raises:
        InvalidStateError: its state does not allow the change.
        DownloadError: a value cannot be used; see `DownloadService.amend`.
    """
    service = context.services.service
    try:
        await service.amend(context.user, download.id, changes)
    except InvalidStateError:
        if status_of(download) is not Status.ACTIVE:
            raise
    else:
        return
    context.services.restarts.add(download)
    await service.pause(context.user, download.id)
    try:
        await service.amend(context.user, download.id, changes)
    finally:
        await service.resume(context.user, download.id)
