"""Downloads as imports use them."""

from collections.abc import Sequence
from typing import Protocol

from downloadd.download import Download
from downloadd.download_request import DownloadRequest
from downloadd.errors import DownloadError, StoreUnavailableError
from downloadd.import_operation import Driver
from downloadd.manager.protocol import StartResult


class Downloads(Protocol):
    """The part of the manager that imports use."""

    async def start(
        self, requests: Sequence[DownloadRequest], *, user: str, driver: Driver | None = None
    ) -> StartResult:
        """Accept requests; the downloads are durable on return.

        Raises:
            ImportFencedError: the driver does not hold its operation; nothing was accepted.
        """
        ...

    async def wait(self, id: str, seconds: float) -> Download:
        """Return the download once it has finished, or as it is after `seconds`."""
        ...

    async def cancel(self, id: str) -> Download:
        """Cancel an active download."""
        ...


async def cancel_if_active(downloads: Downloads, id: str) -> None:
    """Cancel a download, unless it is finished or unknown.

    Raises:
        StoreUnavailableError: the records are unavailable; nothing was changed.
    """
    try:
        await downloads.cancel(id)
    except StoreUnavailableError:
        raise
    except DownloadError:
        return
