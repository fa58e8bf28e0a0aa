"""Constructs the service of imports from the configuration."""

import asyncio
import os
from pathlib import Path
from typing import Final

from downloadd.clock import Clock
from downloadd.config import Config
from downloadd.events import EventBus
from downloadd.imports.downloads import Downloads
from downloadd.imports.local_uploads import LocalUploads
from downloadd.imports.service import ImportService
from downloadd.metrics import ImportMetrics
from downloadd.records.database import UPLOADS_DIRECTORY_NAME
from downloadd.records.store import Store
from downloadd.rights import Rights
from downloadd.storage.destination import Destination
from downloadd.storage.names import RESERVED_DIRECTORY_NAME
from downloadd.storage.reclaim import Reclaim

SHARED_UPLOADS_NAME: Final = "uploads"
"""Name of the directory of the uploads of several nodes."""
TAKEOVER_SECONDS: Final = 1.0
"""Seconds between two searches for imports of nodes that are gone."""


def assemble_imports(
    config: Config,
    *,
    store: Store,
    downloads: Downloads,
    destination: Destination,
    bus: EventBus,
    clock: Clock,
    rights: Rights,
    root: str,
    metrics: ImportMetrics,
    reclaim: Reclaim,
    takeover_interval: float = TAKEOVER_SECONDS,
) -> ImportService:
    """Construct the service over open records and storage.

    `root` is the absolute path of the storage root; `takeover_interval` are the seconds between two searches for
    imports of nodes that are gone, if there may be others.
    """

    async def reclaim_for_uploads(directory: str, nbytes: int) -> bool:
        """Remove kept part files if they are on the file system of the uploads; see `Reclaim`."""
        places = (config.server.state_dir, config.storage.root)
        devices = {(await asyncio.to_thread(os.stat, place)).st_dev for place in places}
        return len(devices) == 1 and await reclaim(directory, nbytes)

    shared = Path(config.storage.root) / RESERVED_DIRECTORY_NAME / SHARED_UPLOADS_NAME
    uploads = LocalUploads(
        shared if store.is_shared else Path(config.server.state_dir) / UPLOADS_DIRECTORY_NAME,
        max_upload=config.imports.max_upload_size,
        min_free=config.storage.min_free,
        clock=clock,
        reclaim=reclaim if store.is_shared else reclaim_for_uploads,
        check_shared=destination.check_root if store.is_shared else None,
    )
    return ImportService(
        records=store.imports,
        downloads=downloads,
        destination=destination,
        uploads=uploads,
        bus=bus,
        clock=clock,
        config=config.imports,
        rights=rights,
        root=root,
        max_size=config.downloads.max_size,
        on_state_change=metrics.state_changed,
        hints=store.hints,
        takeover_interval=takeover_interval if store.is_shared else None,
    )
