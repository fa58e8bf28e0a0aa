"""Reconciliation of records and disk at start, after a daemon that was killed."""

from functools import partial

import structlog
from msgspec.structs import replace

from downloadd.clock import Clock
from downloadd.download import Download, is_created_before, log_fields
from downloadd.errors import DownloadError, StorageAwayError, StorageError
from downloadd.import_part import operation_of_part
from downloadd.manager import lifecycle
from downloadd.manager.discard_part import discard_part, discard_part_of
from downloadd.manager.publication import is_published
from downloadd.records.availability import once_available
from downloadd.records.protocol import PartOwner, Records
from downloadd.states import FINISHED, RUNNING
from downloadd.storage.destination import Destination, PartEntry
from downloadd.storage.names import parse_part_name

log = structlog.get_logger()


async def reconcile(records: Records, destination: Destination, clock: Clock) -> None:
    """Interrupt every row that a run held when its daemon was killed, and complete published downloads."""
    async for row in records.running_rows():
        await interrupt_abandoned(row, records=records, destination=destination, clock=clock)


async def interrupt_abandoned(
    row: Download, *, records: Records, destination: Destination, clock: Clock
) -> tuple[Download, Download] | None:
    """Interrupt a download whose run is over or fenced, or complete it if its file has its final name.

    In shared records, the epoch rises: the run may belong to a process that was only stopped, and goes on later.

    Returns:
        The row before and after; None if another run or an action of a user came first.
    """
    has_name = await _has_final_name(destination, row)

    def settle(present: Download) -> Download:
        if present.epoch != row.epoch or present.state not in RUNNING:
            return present
        if has_name:
            return lifecycle.mark_published(present, now=clock.wall())
        interrupted = lifecycle.mark_interrupted(present, now=clock.wall())
        if has_name is False and not records.is_shared:
            interrupted = lifecycle.mark_unpublished(interrupted)
        # Otherwise the next run finds out; a process that was only stopped may publish the file until then.
        return replace(interrupted, epoch=present.epoch + 1) if records.is_shared else interrupted

    changed = await once_available(partial(records.amend, row.id, settle))
    if changed is None or changed[1] == changed[0]:
        return None
    before, after = changed
    log.info("download_recovered", was=before.state, now=after.state, **log_fields(row))
    if after.state in FINISHED:
        await discard_part_of(destination, before)
    return changed


async def _has_final_name(destination: Destination, row: Download) -> bool | None:
    """Return True if the file of a download that was being published has its final name; None if the disk is away."""
    try:
        return await is_published(destination, row)
    except StorageAwayError:
        return None
    except DownloadError as error:
        # A failing directory must not stop the start: its download is published again.
        log.warning("published_file_not_verified", error=error.code, detail=error.detail, **log_fields(row))
        return False


async def sweep(records: Records, destination: Destination) -> None:
    """Remove part files that neither a download nor an import owns, except those that are older than the records.

    Records that were lost are created again, empty. Part files that they do not know can be continued when the lost
    records are restored.
    """
    created_at = await once_available(records.created_at)
    foreign = 0
    async for parts in destination.list_parts():
        part_owners = await once_available(partial(records.part_owners, [part.download_id for part in parts]))
        for part in parts:
            owner = part_owners.get(part.download_id)
            if not is_stray(part, owner):
                continue
            if owner is None and created_at is not None and await _is_foreign(records, part, created_at):
                foreign += 1
            elif await discard_part(
                destination, download_id=part.download_id, directory=part.directory, name=part.name
            ):
                log.info("stray_part_removed", download_id=part.download_id, directory=part.directory)
    if foreign:
        log.warning(
            "foreign_parts_kept",
            parts=foreign,
            detail="these part files are older than the records, which do not know them; restore the earlier records "
            "to let their downloads go on, or remove the files",
        )


async def discard_fenced_part(records: Records, destination: Destination, row: Download, name: str) -> None:
    """Remove the part file `name` of a fenced run, unless its download still continues from it.

    A process that stood still between the record of a part file and its first write makes the file when it goes on:
    the run that has taken the download over did not find it. If that one has recorded nothing yet, the file stays for
    the sweep.
    """
    parsed = parse_part_name(name)
    try:
        owner = (await records.part_owners([row.id])).get(row.id)
    except DownloadError:
        return
    if parsed is not None and is_stray(
        PartEntry(directory=row.part_directory, name=name, download_id=row.id, epoch=parsed[1]), owner
    ):
        await discard_part(destination, download_id=row.id, directory=row.part_directory, name=name)


async def _is_foreign(records: Records, part: PartEntry, created_at: float) -> bool:
    # A manifest is written anew, and never continued.
    if operation_of_part(part.download_id) is not None or not is_created_before(part.download_id, created_at):
        return False
    try:
        return await once_available(partial(records.get, part.download_id)) is None
    except StorageError:
        # The row cannot be read; its download has ended.
        return False


def is_stray(part: PartEntry, owner: PartOwner | None) -> bool:
    """Return True if no run will continue from a part file.

    Its download ended without it or was never accepted; or the daemon was killed before the part was recorded, so that
    a later run created another one. An active download with a recorded part may own one of a later epoch too: a run
    that was killed while it adopted the part had renamed it already. One of an earlier epoch was made by a process that
    went on after its run had been taken over. A row that cannot be read (`state` None) may own any part.
    """
    if owner is None:
        return True
    if owner.state is None:
        return False
    if owner.part_name is not None:
        recorded = parse_part_name(owner.part_name)
        if recorded is None or part.name == owner.superseded_name:
            return False
        if owner.state in FINISHED:
            return recorded != (part.download_id, part.epoch)
        return part.epoch < recorded[1]
    return part.epoch < owner.epoch or (part.epoch == owner.epoch and owner.state not in RUNNING)
