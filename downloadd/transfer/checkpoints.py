"""Checkpoints of one attempt: its row and its part file, with the row recorded before and while bytes are written.

A row is recorded before the bytes that it describes reach the disk, so that it never describes bytes of another version
after a crash. A transfer that starts over writes a new part file: the old one is never truncated, since a later run or
a published file may share it, and stays until the new one has more bytes.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from typing import Final

import structlog
from msgspec.structs import asdict, replace

from downloadd.clock import Clock
from downloadd.download import Download, ResumedBy, SupersededPart, log_fields
from downloadd.errors import DownloadError, InsufficientStorageError
from downloadd.states import Trigger, advance
from downloadd.storage.destination import Destination, Part
from downloadd.storage.names import parse_filename
from downloadd.transfer.byte_ranges import ByteRanges
from downloadd.transfer.classification import UseResponse
from downloadd.transfer.recorded_bytes import forget_bytes, proven_ranges, record_copy, recorded_ranges
from downloadd.transfer.representation import Representation
from downloadd.transfer.resume import is_resumable, weakest_evidence

log = structlog.get_logger()

MAX_UNRECORDED_BYTES: Final = 1 << 20
"""Bytes of a file that is written without a checkpoint before; after a crash it is received again."""

FIRST_CHECKPOINT_SECONDS: Final = 0.5
"""Seconds from the first write to the first checkpoint of a file over one connection."""

CHECKPOINT_SECONDS: Final = 5.0
"""Seconds between two checkpoints at most; see `CHECKPOINT_SHARE`."""

CHECKPOINT_SHARE: Final = 0.5
"""Time between two checkpoints, as a share of that which the transfer had lasted at the first of them.

So after a power cut, or when another node takes over, at least half of what a steady transfer has received is kept,
once its first checkpoint is recorded.
"""

RECORD_SECONDS: Final = 0.25
"""Seconds after the start of a sync before its bytes are recorded."""

CHECKPOINT_TIMEOUT: Final = 0.25
"""Seconds that a transfer over one connection waits for a checkpoint; the next one records the same and more."""


class Checkpoints:
    """Row and part file of one attempt.

    Attributes:
        download: the row as this attempt knows it.
        part: the part file, once it is open.
        is_recorded: True after the row was saved since the last accepted response.
        baseline: bytes that the attempt must exceed to have progressed.
        has_discarded: True after received bytes were discarded: then nothing is progress.
    """

    def __init__(
        self,
        download: Download,
        *,
        destination: Destination,
        save: Callable[[Download], Awaitable[Download]],
        on_change: Callable[[], None],
        clock: Clock,
        allows_overlap: bool,
    ) -> None:
        """Make the checkpoints of an attempt.

        Args:
            download: the claimed row.
            destination: the storage of the part file.
            save: writes a row durably and returns it.
            on_change: called after a change of the state.
            clock: the time.
            allows_overlap: False for `downloads.resume = "strict"`.
        """
        self.download = download
        self.part: Part | None = None
        self.is_recorded = False
        self.baseline = 0
        self.has_discarded = False
        self._destination = destination
        self._save = save
        self._on_change = on_change
        self._clock = clock
        self._allows_overlap = allows_overlap
        self._restarts = 0
        self._began_at = 0.0
        self._synced_at = 0.0
        self._has_unrecorded_sync = False

    @property
    def is_resumable(self) -> bool:
        """True if a later attempt can continue the bytes of the part file."""
        received = 0 if self.part is None else self.part.size
        known = Representation.of(self.download)
        return is_resumable(known, received=received, allows_overlap=self._allows_overlap)

    async def save(self, download: Download) -> None:
        """Save a row durably."""
        self.download = await self._save(download)

    async def adopt_part(self, existing: str) -> Part:
        """Open the part file of an earlier attempt, or an empty one if it is missing."""
        self.part = await self._open_part(existing)
        # The name has this run's epoch now: after a crash during publication it is searched by this name.
        self.download = self.download.with_progress(part_name=self.part.name)
        self.baseline = self.part.size
        return self.part

    async def take_over_part(self, existing: str) -> Part:
        """Continue the part file of a run that may still write to it: in a new file, with a copy of what it recorded.

        Without evidence for these bytes, or without space for the copy, the new file is empty. A superseded part file
        is removed: that run may remove or continue it at any time.
        """
        superseded = self._superseded_name()
        # Opened for its name: without it, the other run can neither publish nor remove the file.
        old = await self._open_part(existing)
        try:
            part, kept = await self._copy_recorded(old)
            try:
                # Until here the row names the file of the other run, so that the next run takes it over too.
                await self.save(record_copy(self.download, part.name, kept))
            except BaseException:
                await part.remove()
                raise
        finally:
            with suppress(DownloadError):
                await old.close()
        self.part, self.baseline = part, part.size
        await self._remove_parts({old.name, *filter(None, [superseded])})
        return part

    async def create_part(self) -> Part:
        """Return the part file, which is made at the first write if there is none yet."""
        if self.part is None:
            self.part = await self._open_part(None)
        return self.part

    async def reserve(self, total: int, missing: int) -> None:
        """Reserve room for `total` bytes, of which `missing` are not on disk; a superseded part file makes room.

        Raises:
            InsufficientStorageError: there is not enough room.
        """
        part = await self.create_part()
        try:
            await part.reserve(total, missing=missing)
        except InsufficientStorageError:
            if self.download.progress.superseded is None:
                raise
            await self.remove_superseded()
            await part.reserve(total, missing=missing)

    async def start_over(self, *, is_part_valid: bool = True) -> None:
        """Begin a new part file; the one with the most bytes stays as the superseded one if it can be continued.

        The row is saved before a file is removed. Bytes that are not valid are not kept.
        """
        old = self.part
        if old is None:
            return
        superseded = await self._supersede(old) if is_part_valid else self.download.progress.superseded
        removed = {
            name
            for name in (old.name, self._superseded_name())
            if name is not None and (superseded is None or name != superseded.part_name)
        }
        if superseded is None:
            self.has_discarded = True
        else:
            self.baseline = max(self.baseline, superseded.received)
        part = await self._open_part(None)
        await self.save(forget_bytes(self.download).with_progress(part_name=part.name, superseded=superseded))
        self.part = part
        with suppress(DownloadError):
            await old.close()
        await self._remove_parts(removed)

    async def discard_compared(self) -> None:
        """Discard bytes that were continued because others were equal; `downloads.resume` may have allowed it before.

        They stay if a digest verifies them.
        """
        if Representation.of(self.download).has_digest:
            return
        superseded = self.download.progress.superseded
        if superseded is not None and superseded.resumed_by is ResumedBy.OVERLAP:
            await self.remove_superseded()
        if self.download.progress.resumed_by is ResumedBy.OVERLAP:
            await self.start_over(is_part_valid=False)

    async def go_back(self) -> bool:
        """Continue the superseded part file, and remove the one that was begun after it; return False if it is gone."""
        superseded, new = self.download.progress.superseded, self.part
        assert superseded is not None  # noqa: S101 - narrows the type; the caller has compared it
        part = await self._open_part(superseded.part_name)
        ranges = superseded.received_ranges
        if part.size < (superseded.received if ranges is None else ByteRanges.parse(ranges).end):
            self.download = self.download.with_progress(superseded=None)
            await part.remove()
            return False
        fields = {**asdict(superseded), "part_name": part.name}
        try:
            await self.save(self.download.with_progress(**fields, superseded=None))
        except BaseException:
            await part.close()
            raise
        self.part, self.baseline = part, part.size
        if new is not None:
            with suppress(DownloadError):
                await new.close()
            await self._remove_parts([new.name])
        return True

    async def remove_superseded(self) -> None:
        """Remove the superseded part file; the next write of the row forgets it."""
        name = self._superseded_name()
        if name is not None:
            self.download = self.download.with_progress(superseded=None)
            await self._remove_parts([name])

    async def has_part(self) -> bool:
        """Return False if the part file is missing; True if that is unknown."""
        name = self.download.progress.part_name if self.part is None else self.part.name
        try:
            return name is not None and await self._destination.has_part(
                directory=self.download.part_directory, name=name
            )
        except DownloadError:
            # A retry without the file starts from the first byte.
            return True

    async def remove_parts(self) -> None:
        """Remove the part file and a superseded one.

        Raises:
            DownloadError: the part file cannot be removed.
        """
        await self.remove_superseded()
        if self.part is not None:
            await self.part.remove()
        elif self.download.progress.part_name is not None:
            await self._destination.remove_part(
                directory=self.download.part_directory, name=self.download.progress.part_name
            )

    def accept_response(self, accepted: UseResponse, *, final_url_digest: str | None, part_name: str) -> None:
        """Set the row to what a response says of the representation; it is saved before the first write."""
        earlier = self.download if accepted.is_partial else None
        found, evidence = accepted.found, accepted.evidence
        resumed_by = None if earlier is None else earlier.progress.resumed_by
        self.download = self.download.with_result(
            content_type=accepted.content_type or (earlier and earlier.result.content_type),
        ).with_progress(
            part_name=part_name,
            url_changed=False,
            total=found.total,
            validator=found.validator,
            weak_tag=found.weak_tag,
            coding=found.coding,
            final_url_digest=final_url_digest,
            origin_digests=found.origin_digests,
            last_modified=found.last_modified,
            resumed_by=None if evidence is None else weakest_evidence(resumed_by, evidence.resumed_by),
        )
        self.mark_responded()

    def mark_responded(self) -> None:
        """Set the state for a response; the row is saved before the first write."""
        self.download = replace(self.download, state=advance(self.download.state, Trigger.RESPOND))
        self.is_recorded = False
        self._on_change()

    async def before_write(self, part: Part, size: int, is_last: bool, *, is_segmented: bool) -> None:
        """Save the row before the first write, and make a checkpoint when one is due.

        A short file that is complete is not saved here: next its publication is recorded. A crash in between loses
        little more than the time of a write.
        """
        superseded = self.download.progress.superseded
        received = self.download.progress.received if is_segmented else part.size
        if superseded is not None and received > superseded.received:
            await self.remove_superseded()
        if not self.is_recorded:
            if is_last and size <= MAX_UNRECORDED_BYTES:
                return
            await self.save(self.download)
            self.is_recorded = True
            self._began_at = self._synced_at = self._clock.monotonic()
        elif not is_segmented:
            await self._checkpoint(part)

    async def save_ranges(self, part: Part, received: ByteRanges) -> None:
        """Sync the part file, then save which ranges it has."""
        if self.is_recorded:
            await part.sync()
            await self.save(self.download.with_progress(received=received.size, received_ranges=received.format()))

    async def record_complete(self) -> None:
        """Record that the part file is complete, on stable storage, before something that takes long.

        Another node that takes over then needs no origin.
        """
        if self.part is not None and self.part.size > MAX_UNRECORDED_BYTES:
            await self.part.sync()
            await self.save(self.download.with_progress(received=self.part.size, received_ranges=None))

    async def close_part(self, segments: ByteRanges | None) -> Download:
        """Close the part file; return the row with its bytes, as far as they are on stable storage.

        `segments` are the ranges of a transfer over several connections, else None.
        """
        part = self.part
        if part is None:
            return self.download
        kept = segments
        if kept is None and self.download.progress.received_ranges is not None:
            # The transfer of the missing ranges has not begun: there are gaps before the end of the file.
            kept = recorded_ranges(self.download)
        received = part.size if kept is None else kept.size
        try:
            # Recorded bytes must survive a power cut. Others are of no use to a later attempt.
            if self.is_resumable:
                await part.sync()
        except DownloadError:
            # Only the bytes of the last checkpoint are on stable storage.
            kept = recorded_ranges(self.download)
            received = kept.size
        with suppress(DownloadError):
            await part.close()
        superseded = self.download.progress.superseded
        if superseded is not None and received > superseded.received:
            await self.remove_superseded()
        return self.download.with_progress(
            part_name=part.name, received=received, received_ranges=None if kept is None else kept.format()
        )

    async def _copy_recorded(self, old: Part) -> tuple[Part, ByteRanges]:
        """Return a new part file with the recorded bytes of another one, on stable storage, and their ranges."""
        recorded = proven_ranges(self.download, allows_overlap=self._allows_overlap)
        part = await self._open_part(None)
        try:
            await part.copy(old, recorded)
            await part.sync()
        except InsufficientStorageError:
            await part.remove()
            return await self._open_part(None), ByteRanges()
        except BaseException:
            await part.remove()
            raise
        return part, recorded.up_to(part.size)

    async def _open_part(self, existing: str | None) -> Part:
        """Open an existing part file, or begin one; each but the first of this run has a number in its name."""
        restart = self._restarts
        self._restarts += 1
        return await self._destination.open_part(
            directory=self.download.part_directory,
            filename=parse_filename(self.download.filename),
            download_id=self.download.id,
            epoch=self.download.epoch,
            existing=existing,
            restart=restart,
        )

    async def _supersede(self, part: Part) -> SupersededPart | None:
        """Return the part file to keep beside a new one: this one, or an earlier one with more bytes."""
        earlier, progress = self.download.progress.superseded, self.download.progress
        ranges = progress.received_ranges
        received = part.size if ranges is None else ByteRanges.parse(ranges).size
        # Without a validator or a digest, nothing would prove that the origin has the old version again.
        is_provable = progress.validator is not None or bool(progress.origin_digests)
        if not (is_provable and self.is_resumable) or (earlier is not None and earlier.received >= received):
            return earlier
        with suppress(DownloadError):
            await part.sync()
            return SupersededPart(
                part_name=part.name,
                received=received,
                received_ranges=ranges,
                total=progress.total,
                validator=progress.validator,
                weak_tag=progress.weak_tag,
                coding=progress.coding,
                final_url_digest=progress.final_url_digest,
                origin_digests=progress.origin_digests,
                last_modified=progress.last_modified,
                resumed_by=progress.resumed_by,
            )
        return earlier

    def _superseded_name(self) -> str | None:
        superseded = self.download.progress.superseded
        return None if superseded is None else superseded.part_name

    async def _remove_parts(self, names: Iterable[str]) -> None:
        """Remove part files; a file that cannot be removed is left to the sweep after the next start."""
        for name in names:
            try:
                await self._destination.remove_part(directory=self.download.part_directory, name=name)
            except DownloadError as error:
                log.warning("part_removal_failed", error=error.code, detail=error.detail, **log_fields(self.download))

    async def _checkpoint(self, part: Part) -> None:
        """Save the bytes that were synced since the last checkpoint, or start to sync later ones, if one is due."""
        now = self._clock.monotonic()
        if self._has_unrecorded_sync:
            if part.synced > self.download.progress.received and now - self._synced_at >= RECORD_SECONDS:
                self._has_unrecorded_sync = False
                # The records apply writes in the order of the calls, so that a late checkpoint undoes nothing.
                with suppress(TimeoutError):
                    async with asyncio.timeout(CHECKPOINT_TIMEOUT):
                        await self.save(self.download.with_progress(received=part.synced))
            return
        lasted = self._synced_at - self._began_at
        pause = max(RECORD_SECONDS, lasted * CHECKPOINT_SHARE) if lasted else FIRST_CHECKPOINT_SECONDS
        if now - self._synced_at >= min(CHECKPOINT_SECONDS, pause):
            self._synced_at = now
            if self.is_resumable:
                part.start_sync()
                self._has_unrecorded_sync = True
