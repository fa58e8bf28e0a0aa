"""Constructs the service of imports from the configuration."""

import asyncio
import os
from pathlib import Path

from downloadd.clock import Clock
from downloadd.config import Config
from downloadd.events import EventBus
from downloadd.imports.downloads import Downloads
from downloadd.imports.local_uploads import LocalUploads
from downloadd.imports.service import ImportService
from downloadd.metrics import ImportMetrics
from downloadd.records.database import UPLOADS_DIRECTORY_NAME
from downloadd.records.import_protocol import ImportRecords
from downloadd.rights import Rights
from downloadd.storage.destination import Destination
from downloadd.storage.reclaim import Reclaim


def assemble_imports(
    config: Config,
    *,
    records: ImportRecords,
    downloads: Downloads,
    destination: Destination,
    bus: EventBus,
    clock: Clock,
    rights: Rights,
    root: str,
    metrics: ImportMetrics,
    reclaim: Reclaim,
) -> ImportService:
    """Construct the service over open records and storage; `root` is the absolute path of the storage root."""

    async def reclaim_for_uploads(directory: str, nbytes: int) -> bool:
        """Remove kept part files if they are on the file system of the uploads; see `Reclaim`."""
        places = (config.server.state_dir, config.storage.root)
        devices = {(await asyncio.to_thread(os.stat, place)).st_dev for place in places}
        return len(devices) == 1 and await reclaim(directory, nbytes)

    uploads = LocalUploads(
        Path(config.server.state_dir) / UPLOADS_DIRECTORY_NAME,
        max_upload=config.imports.max_upload_size,
        min_free=config.storage.min_free,
        clock=clock,
        reclaim=reclaim_for_uploads,
    )
    return ImportService(
        records=records,
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
    )
