"""Publisher of the ends of downloads, which follows the history in the order of `ended_seq`.

The ends that this process has written are handed over by the records. The history is read only for what is missing
between the last published end and those: ends that other processes wrote.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from downloadd.download import Download
from downloadd.events import DownloadEnded
from downloadd.manager.durable_write import retry_forever
from downloadd.manager.notifier import Notifier
from downloadd.manager.run_table import RunTable
from downloadd.records.ends import RecordedEnd
from downloadd.records.protocol import HistoryFilter, Records

POLL_SECONDS: Final = 1.0
"""Seconds between two reads of a history to which others write."""
MAX_PAGE_ROWS: Final = 500
"""Ends that one query reads."""


class EndedFollower:
    """Publishes each end once, in order, after it is durable.

    An end whose row leaves the history before, because its download is retried or removed, is passed over: readers know
    the later state already.
    """

    def __init__(
        self, records: Records, runs: RunTable, notifier: Notifier, *, poll_seconds: float = POLL_SECONDS
    ) -> None:
        self._records = records
        self._runs = runs
        self._notifier = notifier
        self._poll_seconds = poll_seconds if records.is_shared else None
        # The newest end that was published or passed over.
        self._position = 0
        # Ends of this process that are not published yet, in order.
        self._own: deque[DownloadEnded] = deque()
        self._is_reading = False
        self._wake = asyncio.Event()

    async def open(self) -> None:
        """Begin after the present history."""
        self._records.set_end_listener(self._add)
        self._position = await self._records.last_ended_seq()
        self._notifier.record_ended_seq(self._position)

    def wake(self) -> None:
        """Read the history soon: another process may have written ends."""
        self._wake.set()

    async def follow(self) -> None:
        """Publish the ends that others write, until cancelled."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._poll_seconds):
                    await self._wake.wait()
            self._wake.clear()
            await self._read_history()

    def _add(self, ends: Sequence[RecordedEnd]) -> None:
        """Take the ends of one operation; none are a hint that others have written some."""
        if not ends:
            self.wake()
            return
        for end in ends:
            # The run that has ended is in the table still.
            known = self._runs.record_end(end.download)
            self._own.append(DownloadEnded(download=end.download, before=known or end.before))
            self._notifier.count_ended(end.download)
        # After the callers of this operation and of those before it have published their changes, and before those of
        # later ones, which may concern the same download.
        asyncio.get_running_loop().call_soon(self._publish_own, _seq_of(ends[-1].download))

    def _publish_own(self, until: int) -> None:
        """Publish the ends of this process up to `until`, or to a gap, in which there may be those of others."""
        if self._is_reading:
            return
        while self._own and (seq := _seq_of(self._own[0].download)) <= until:
            if seq != self._position + 1:
                self.wake()
                return
            self._publish(self._own.popleft())

    async def _read_history(self) -> None:
        # The first read has all ends up to this one: no lesser number is committed later.
        newest = _seq_of(self._own[-1].download) if self._own else 0
        self._is_reading = True
        try:
            while page := await retry_forever(self._read_page, "history_not_followed"):
                for row in page:
                    self._publish_read(row)
        finally:
            self._is_reading = False
        self._drop_until(newest)
        self._position = max(self._position, newest)
        if self._own:
            self._publish_own(_seq_of(self._own[-1].download))

    async def _read_page(self) -> Sequence[Download]:
        return await self._records.history(HistoryFilter(after_ended_seq=self._position, limit=MAX_PAGE_ROWS))

    def _publish_read(self, row: Download) -> None:
        seq = _seq_of(row)
        self._drop_until(seq - 1)
        is_own = self._own and _seq_of(self._own[0].download) == seq
        self._publish(self._own.popleft() if is_own else DownloadEnded(download=row, before=None))

    def _drop_until(self, seq: int) -> None:
        """Drop the ends of this process up to `seq`, which have left the history."""
        while self._own and _seq_of(self._own[0].download) <= seq:
            self._own.popleft()

    def _publish(self, end: DownloadEnded) -> None:
        self._position = _seq_of(end.download)
        self._notifier.publish_ended(end)


def _seq_of(row: Download) -> int:
    seq = row.result.ended_seq
    assert seq is not None  # noqa: S101 - narrows the type; a row of the history has one
    return seq
