"""Checkpoints of one attempt: its row, recorded durably before and while bytes are written.

A row is recorded before the bytes that it describes reach the disk, so that it never describes bytes of another version
after a crash.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

from msgspec.structs import replace

from downloadd.clock import Clock
from downloadd.download import Download
from downloadd.errors import DownloadError
from downloadd.states import Trigger, advance
from downloadd.storage.destination import Part
from downloadd.transfer.byte_ranges import ByteRanges
from downloadd.transfer.classification import UseResponse

MAX_UNRECORDED_BYTES: Final = 1 << 20
"""Bytes of a file that is written without a checkpoint before; after a crash it is received again."""

CHECKPOINT_SECONDS: Final = 5.0
"""Seconds between checkpoints of a file over one connection; after a power cut, twice as much is received again."""

CHECKPOINT_TIMEOUT: Final = 0.25
"""Seconds that a transfer over one connection waits for a checkpoint; the next one records the same and more."""


class Checkpoints:
    """Row of one attempt and its checkpoints.

    Attributes:
        download: the row as this attempt knows it.
        is_recorded: True after the row was saved since the last accepted response.
    """

    def __init__(self, download: Download, *, save: Callable[[Download], Awaitable[Download]], clock: Clock) -> None:
        """Make the checkpoints of an attempt; `save` writes a row durably and returns it."""
        self.download = download
        self.is_recorded = False
        self._save = save
        self._clock = clock
        self._checkpointed_at = 0.0

    async def save(self, download: Download) -> None:
        """Save a row durably."""
        self.download = await self._save(download)

    def accept_response(self, accepted: UseResponse, *, final_url_digest: str | None, part_name: str) -> None:
        """Set the row to what a response says of the representation; it is saved before the first write."""
        # A 206 need not repeat the fields of the 200 before it (RFC 9110, section 15.3.7).
        earlier = self.download if accepted.start > 0 else None
        known = () if earlier is None else earlier.progress.origin_digests
        self.download = self.download.with_result(
            content_type=accepted.content_type or (earlier and earlier.result.content_type),
        ).with_progress(
            part_name=part_name,
            url_changed=False,
            total=accepted.total,
            validator=accepted.validator,
            coding=accepted.coding,
            final_url_digest=final_url_digest,
            origin_digests=(*known, *(digest for digest in accepted.origin_digests if digest not in known)),
            last_modified=accepted.last_modified or (earlier and earlier.progress.last_modified),
        )
        self.mark_responded()

    def mark_responded(self) -> None:
        """Set the state for a response; the row is saved before the first write."""
        self.download = replace(self.download, state=advance(self.download.state, Trigger.RESPOND))
        self.is_recorded = False

    async def before_write(self, part: Part, size: int, is_last: bool, *, is_segmented: bool) -> None:
        """Save the row before the first write, and make a checkpoint when one is due.

        A short file that is complete is not saved here: next its publication is recorded. A crash in between loses
        little more than the time of a write.
        """
        if not self.is_recorded:
            if is_last and size <= MAX_UNRECORDED_BYTES:
                return
            await self.save(self.download)
            self.is_recorded = True
            self._checkpointed_at = self._clock.monotonic()
        elif not is_segmented and self._clock.monotonic() - self._checkpointed_at >= CHECKPOINT_SECONDS:
            self._checkpointed_at = self._clock.monotonic()
            await self._checkpoint(part)

    async def save_ranges(self, part: Part, received: ByteRanges) -> None:
        """Sync the part file, then save which ranges it has."""
        if self.is_recorded:
            await part.sync()
            await self.save(self.download.with_progress(received=received.size, received_ranges=received.format()))

    async def close_part(self, part: Part, segments: ByteRanges | None) -> Download:
        """Close the part file; return the row with its bytes, as far as they are on stable storage.

        `segments` are the ranges of a transfer over several connections, else None.
        """
        kept = segments
        received = part.size if kept is None else kept.size
        try:
            # Recorded bytes must survive a power cut. Without a validator they cannot be resumed anyway.
            if self.download.progress.validator is not None:
                await part.sync()
        except DownloadError:
            # Only the bytes of the last checkpoint are on stable storage.
            kept = recorded_ranges(self.download)
            received = kept.size
        with suppress(DownloadError):
            await part.close()
        return self.download.with_progress(
            part_name=part.name, received=received, received_ranges=None if kept is None else kept.format()
        )

    async def _checkpoint(self, part: Part) -> None:
        """Save the bytes that were synced meanwhile, and start to sync later ones."""
        if self.download.progress.validator is not None:
            if part.synced > self.download.progress.received:
                # The records apply writes in the order of the calls, so that a late checkpoint undoes nothing.
                with suppress(TimeoutError):
                    async with asyncio.timeout(CHECKPOINT_TIMEOUT):
                        await self.save(self.download.with_progress(received=part.synced))
            part.start_sync()


def recorded_ranges(download: Download) -> ByteRanges:
    """Return the recorded ranges of the part file."""
    ranges = download.progress.received_ranges
    return ByteRanges.parse(f"0-{download.progress.received}" if ranges is None else ranges)
