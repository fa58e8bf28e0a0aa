"""The health of the origins, as runs report it, and its copy in the records, which survives a restart."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

import structlog

from downloadd.errors import DownloadError, NetworkError
from downloadd.manager.dispatcher import Origins
from downloadd.manager.origin_health import KnownFailure, OriginFailure, Verdict, classify_failure
from downloadd.records.availability import once_available
from downloadd.records.origins import OriginRecord, OriginRecords

log = structlog.get_logger()

STORE_TIMEOUT_SECONDS: Final = 5.0
"""Seconds that the outcome of a run waits for the record of its origin."""
CHECK_SECONDS: Final = 300.0
"""Seconds between two searches for records of origins that are not used any more."""


class OriginMonitor:
    """Reports the outcomes of requests to the dispatcher, and records origins that are not healthy.

    Trouble in the records changes nothing in memory: the record is written again at the next change.
    """

    def __init__(self, origins: Origins, records: OriginRecords) -> None:
        self._origins = origins
        self._records = records
        # The records as they were written last; None if it is not known.
        self._written: dict[str, OriginRecord | None] = {}
        self._recovered = asyncio.Event()

    async def restore(self) -> None:
        """Set the health of the origins to what it was before a restart."""
        for record in await once_available(self._records.load):
            self._written[record.origin] = record
            self._origins.restore(record)

    def adopt(self, records: Sequence[OriginRecord]) -> None:
        """Set the health of origins to what other nodes have recorded."""
        for record in records:
            self._written[record.origin] = record
            self._origins.restore(record)

    def report_answer(self, origin: str, seq: int, *, is_redirect: bool = False) -> None:
        """Report that an origin has answered a request of a download with its representation, or with a redirect."""
        if self._origins.report_answer(origin, seq, is_redirect=is_redirect):
            log.info("origin_recovered", origin=origin)
            self._recovered.set()

    async def report_failure(self, origin: str, seq: int, error: DownloadError) -> Verdict:
        """Report a failed attempt; return the consequence for its download, once the health is on stable storage."""
        kind = classify_failure(error)
        if kind is None:
            return Verdict()
        failure = OriginFailure(
            kind=kind,
            seq=seq,
            detail=error.detail,
            cause=error.kind if isinstance(error, NetworkError) else None,
            has_response=error.origin_status is not None,
            retry_after=error.retry_after,
        )
        verdict = self._origins.report_failure(origin, failure)
        await self._store(origin)
        return verdict

    def known_failure(self, origin: str, seq: int) -> KnownFailure | None:
        """Return the failure of an attempt that would fail as the last one; None with closed circuits.

        The circuits are those of the origin, and of the target that its redirects are expected to lead a running
        download to.
        """
        for asked in filter(None, (origin, self._origins.expected_target(seq))):
            known = self._origins.known_failure(asked)
            if known is not None:
                return known
        return None

    def is_awaited(self, origin: str) -> bool:
        """Return True if the circuit of an origin is open, and the origin has answered before."""
        return self._origins.is_awaited(origin)

    def hasten_probe(self, origin: str) -> None:
        """Let the next probe of an origin start soon, because a download has ended by time."""
        self._origins.hasten_probe(origin)

    async def remove_recovered(self) -> None:
        """Remove the records of origins that have recovered or are not used any more, until cancelled."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(CHECK_SECONDS):
                    await self._recovered.wait()
            self._recovered.clear()
            for origin in tuple(self._written):
                await self._store(origin)

    async def _store(self, origin: str) -> None:
        record = self._origins.record(origin)
        if record == self._written.get(origin) and (record is not None or origin not in self._written):
            return
        try:
            async with asyncio.timeout(STORE_TIMEOUT_SECONDS):
                if record is None:
                    del self._written[origin]
                    await self._records.remove(origin)
                else:
                    self._written[origin] = record
                    await self._records.save(record)
        except (DownloadError, TimeoutError) as error:
            self._written[origin] = None
            log.warning("origin_not_recorded", origin=origin, detail=str(error))
