"""Records against disk, at start: what a killed daemon left is put in order before anything runs."""

from collections.abc import Sequence
from functools import partial

import structlog

from downloadd.clock import Clock
from downloadd.download import Download, ids_of, is_older
from downloadd.errors import DownloadError, StorageError
from downloadd.manager import lifecycle
from downloadd.manager.leftovers import remove_leftover
from downloadd.records.availability import once_available
from downloadd.records.protocol import Owner, Records
from downloadd.states import ENDED, RUNNING
from downloadd.storage.destination import Destination, StrayPart

log = structlog.get_logger()


async def reconcile(records: Records, destination: Destination, clock: Clock) -> Sequence[Download]:
    """Hands back every row that a run held when the daemon was killed, and completes finished renames.

    Returns:
        The rows that ended by this.
    """
    ended: list[Download] = []
    async for row in records.held():
        in_place = await _is_in_place(destination, row)

        def settle(row: Download, in_place: bool = in_place) -> Download:
            if in_place:
                return lifecycle.completed(row, now=clock.wall())
            return lifecycle.interrupted(row, now=clock.wall())

        changed = await once_available(partial(records.amend, row.id, settle))
        if changed is None:
            continue
        before, after = changed
        log.info("download_recovered", was=before.state, now=after.state, **ids_of(row))
        if after.state in ENDED:
            ended.append(after)
            if before.progress.part_name is not None:
                await remove_leftover(
                    destination,
                    download_id=before.id,
                    directory=before.request.directory,
                    name=before.progress.part_name,
                )
    return ended


async def _is_in_place(destination: Destination, row: Download) -> bool:
    """Whether the file of a download that was being published has its name."""
    if not row.progress.publishing or row.progress.total is None:
        return False
    try:
        return await destination.published(
            directory=row.request.directory,
            filename=row.filename,
            total=row.progress.total,
            part_name=row.progress.part_name,
        )
    except DownloadError as error:
        # One directory that is out of order must not hold up all others: its download is published once more.
        log.warning("file_not_found_again", error=error.code, detail=error.detail, **ids_of(row))
        return False


async def sweep(records: Records, destination: Destination) -> None:
    """Remove part files that no active download owns, and leave those alone that are older than the records.

    A part file that is open is being written, though no row may know it: the manifest of an import is no download.
    Records that were lost are begun anew, empty: what they do not know may go on once the lost ones are restored.
    """
    begun = await once_available(records.begun)
    older = 0
    async for parts in destination.stray_parts():
        owners = await once_available(partial(records.owners, [part.download_id for part in parts]))
        for part in parts:
            owner = owners.get(part.download_id)
            if not is_stray(part, owner):
                continue
            if owner is None and begun is not None and await _is_of_others(records, part, begun):
                older += 1
            elif await remove_leftover(
                destination, download_id=part.download_id, directory=part.directory, name=part.name
            ):
                log.info("stray_part_removed", download_id=part.download_id, directory=part.directory)
    if older:
        log.warning(
            "parts_of_other_records_left",
            parts=older,
            detail="these part files are older than the records, which do not know them; restore the earlier records "
            "to let their downloads go on, or remove the files",
        )


async def _is_of_others(records: Records, part: StrayPart, begun: float) -> bool:
    if not is_older(part.download_id, begun):
        return False
    try:
        return await once_available(partial(records.get, part.download_id)) is None
    except StorageError:
        # It has ended, and nothing else can be read of it.
        return False


def is_stray(part: StrayPart, owner: Owner | None) -> bool:
    """Whether nothing will ever go on from a part file.

    Its download ended or was never accepted; or the daemon was killed before it had written down that the part is
    there, so that a later run began another one. A download that has a part may own one of another name too: a run
    that was killed while it took the part over had renamed it already. Of a row that cannot be read nobody knows.
    """
    if owner is None:
        return True
    if owner.part_name is not None or owner.state is None:
        return False
    return part.epoch < owner.epoch or (part.epoch == owner.epoch and owner.state not in RUNNING)
