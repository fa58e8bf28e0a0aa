"""Reports of the progress of runs, once a second."""

import asyncio
from typing import Final

from downloadd.manager.notifier import Notifier
from downloadd.manager.run_table import RunTable
from downloadd.manager.runner import Runner

PROGRESS_SECONDS: Final = 1.0
"""Seconds between two reports of received bytes."""


class ProgressReports:
    """Counts received bytes, and publishes the downloads that received some."""

    def __init__(self, runs: RunTable, runner: Runner, notifier: Notifier) -> None:
        self._runs = runs
        self._runner = runner
        self._notifier = notifier

    async def watch(self) -> None:
        """Report once a second until cancelled."""
        while True:
            await asyncio.sleep(PROGRESS_SECONDS)
            for active in self._runs:
                received = active.pop_received_bytes()
                self._notifier.count_received(received)
                active.run.report_answer()
                if active.has_sent_more() or received:
                    self._runner.publish_run(active)
