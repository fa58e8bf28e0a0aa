"""Slots of origins that several nodes share: each is taken in this process first, then in the records."""

import asyncio
from collections.abc import Sequence
from typing import Final

import structlog

from downloadd.errors import DownloadError
from downloadd.manager.local_dispatcher import LocalHostSlots, SharedScheduler
from downloadd.manager.slot_ledger import SlotLedger
from downloadd.manager.tasks import TaskSet
from downloadd.records.admission import AdmissionRecords, SlotHolding
from downloadd.records.availability import once_available

log = structlog.get_logger()

FREE_RETRY_SECONDS: Final = 0.5
"""Seconds between two attempts to free slots in records that are unavailable."""
CLOSE_SECONDS: Final = 1.0
"""Seconds to free slots at the end; those that are left are free with the session of the node."""


class SlotWriter:
    """Writes freed slots soon, many in one transaction.

    Attributes:
        ledger: what is held.
    """

    def __init__(self, admission: AdmissionRecords) -> None:
        self.ledger = SlotLedger()
        self._admission = admission
        self._tasks = TaskSet()
        self._is_writing = False

    def write_soon(self) -> None:
        """Write freed slots, unless a claim does it before."""
        if self.ledger.has_changes and not self._is_writing:
            self._is_writing = True
            self._tasks.spawn(self._write())

    async def close(self) -> None:
        """Wait a moment for slots to be free in the records."""
        await self._tasks.wait(CLOSE_SECONDS)
        await self._tasks.cancel()

    async def _write(self) -> None:
        try:
            # After what happens at the same time: the slots of several runs, or a claim.
            await asyncio.sleep(0)
            while self.ledger.has_changes:
                changes = self.ledger.pop_changes()
                try:
                    await self._admission.free(changes)
                except DownloadError:
                    self.ledger.put_back(changes)
                    await asyncio.sleep(FREE_RETRY_SECONDS)
        finally:
            self._is_writing = False


class SharedHostSlots:
    """`HostSlots` of several nodes."""

    def __init__(self, shared: SharedScheduler, admission: AdmissionRecords, writer: SlotWriter) -> None:
        self._shared = shared
        self._scheduler = shared.scheduler
        self._local = LocalHostSlots(shared)
        self._admission = admission
        self._writer = writer
        self._ledger = writer.ledger
        # A change of slots depends on the number before it.
        self._lock = asyncio.Lock()

    async def acquire(self, seq: int, origin: str, count: int) -> int:
        """Take up to `count` free slots of an origin for connections of a running download; return their number.

        None while the records are unavailable: the download continues with fewer connections.
        """
        taken, granted = await self._local.acquire(seq, origin, count), 0
        try:
            if taken:
                granted = await self._raise(seq, origin, taken)
        except DownloadError:
            log.info("slots_not_acquired", origin=origin)
        finally:
            self._local.release(seq, origin, taken - granted)
        return granted

    def release(self, seq: int, origin: str, slots: int) -> None:
        """Free acquired slots."""
        self._local.release(seq, origin, slots)
        self._lower(seq, [origin] * slots)

    async def enter(self, seq: int, source: str, origin: str) -> bool:
        """Take a slot of the origin that redirects of `source` lead a running download to; return False without one."""
        before = self._target(seq)
        has_slot = await self._local.enter(seq, source, origin)
        after = self._target(seq)
        if after == before:
            return has_slot
        self._lower(seq, [before])
        if not after:
            return has_slot
        granted = 0
        try:
            granted = await once_available(lambda: self._raise(seq, after, 1))
        finally:
            if not granted:
                self._local.leave(seq)
        return has_slot and granted > 0

    def leave(self, seq: int) -> None:
        """Free the slot of a running download at the target of redirects, if it has one."""
        target = self._target(seq)
        self._local.leave(seq)
        self._lower(seq, [target])

    def free(self, seq: int) -> None:
        """Free the slots of a run that needs its origins no longer."""
        running = self._scheduler.runs.get(seq)
        if running is not None and running.has_slots:
            origins = [running.origin, running.target]
            self._local.free(seq)
            self._lower(seq, origins)

    async def _raise(self, seq: int, origin: str, count: int) -> int:
        """Take up to `count` more slots in the records; return their number."""
        async with self._lock:
            before, changes = self._ledger.number(seq, origin), self._ledger.pop_changes()
            wanted = SlotHolding(seq=seq, origin=origin, number=before + count)
            try:
                number = await self._admission.acquire(wanted, self._scheduler.origins.max_slots(origin), changes)
            except BaseException as error:
                self._ledger.put_back(changes)
                if not isinstance(error, DownloadError):
                    # A cancelled change may take place.
                    self._ledger.hold(seq, origin, before + count)
                    self._ledger.lower(seq, origin, count)
                self._writer.write_soon()
                raise
            present = self._ledger.number(seq, origin)
            self._ledger.hold(seq, origin, present + number - before)
            if present != before:
                # Some were freed meanwhile.
                self._ledger.put_back([wanted])
                self._writer.write_soon()
            return number - before

    def _lower(self, seq: int, origins: Sequence[str]) -> None:
        for origin in filter(None, origins):
            self._ledger.lower(seq, origin)
        self._writer.write_soon()

    def _target(self, seq: int) -> str:
        running = self._scheduler.runs.get(seq)
        return "" if running is None else running.target
