"""Writes of a run to its row, which wait while the records are unavailable."""

import asyncio
from collections.abc import Callable
from functools import partial

from msgspec.structs import replace

from downloadd.download import Download
from downloadd.manager.amendment import adopt_request
from downloadd.manager.run_timer import RunTimer
from downloadd.records.availability import once_available
from downloadd.records.protocol import Records
from downloadd.states import FINISHED


class FencedError(Exception):
    """Another run holds the download, or it has ended: this run must not change anything any more."""


class RowWriter:
    """Writes the row of one run. The timer of the run is paused meanwhile."""

    def __init__(self, records: Records, timer: RunTimer) -> None:
        self._records = records
        self._timer = timer
        self._records_away = False
        self._has_waited = False
        self._writes = 0

    @property
    def is_waiting(self) -> bool:
        """Return True while a write waits for records that were unavailable."""
        return self._records_away and self._writes > 0

    @property
    def has_waited(self) -> bool:
        """Return True if a write had to wait for the records."""
        return self._has_waited

    async def save(self, download: Download) -> Download:
        """Write the row as soon as the records are available, and return it as it is then, with changes by users.

        Raises:
            FencedError: another run holds the download, or it has ended.
        """
        if self._records_away:
            _raise_if_cancelled()
        self._writes += 1
        try:
            with self._timer.paused():
                saved = await once_available(partial(self._records.save, download), refused=self._record_refusal)
        finally:
            self._writes -= 1
        self._records_away = False
        if saved is None:
            raise FencedError
        if saved.request is download.request:
            return saved
        return adopt_request(replace(saved, request=download.request), saved.request)

    async def change(self, download: Download, change: Callable[[Download], Download]) -> Download:
        """Change request and control of the row by a pure function, as a user would; return the row as it is then.

        Raises:
            FencedError: another run holds the download, or it has ended.
        """

        def apply(present: Download) -> Download:
            if present.epoch != download.epoch or present.state in FINISHED:
                raise FencedError
            return change(present)

        if self._records_away:
            _raise_if_cancelled()
        self._writes += 1
        try:
            with self._timer.paused():
                amend = partial(self._records.amend, download.id, apply)
                changed = await once_available(amend, refused=self._record_refusal)
        finally:
            self._writes -= 1
        self._records_away = False
        if changed is None:
            raise FencedError
        return changed[1]

    def _record_refusal(self) -> None:
        self._records_away = self._has_waited = True
        _raise_if_cancelled()


def _raise_if_cancelled() -> None:
    """Stop waiting for the records if the task is being cancelled.

    The daemon stops then, and the run has had its time to write; the next start reconciles the row.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
