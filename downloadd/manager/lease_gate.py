"""Suspension of all work of a node that has lost its lease."""

import asyncio
from collections.abc import Callable, Sequence

from downloadd.download import Download
from downloadd.records.protocol import Records


class LeaseGate:
    """Interrupts the runs of a node that has lost its lease, and claims nothing until the lease is held again.

    It does so only if another node may take the downloads over. A node alone continues: an interruption would delay
    its downloads and protect nothing.

    Attributes:
        allow_runs: interrupts all runs when it is called with False, and allows them again with True.
    """

    def __init__(self, records: Records) -> None:
        self._records = records
        self._held = asyncio.Event()
        self._held.set()
        self.allow_runs: Callable[[bool], None] = lambda is_allowed: None

    @property
    def _may_be_taken_over(self) -> bool:
        """Return True if another node may take over what this one runs."""
        return self._records.is_shared

    @property
    def is_held(self) -> bool:
        """Return False while another node may take over what this one runs."""
        return self._held.is_set()

    def report_lease(self, is_held: bool) -> None:
        """Apply the loss or the return of the lease."""
        if not self._may_be_taken_over:
            return
        if is_held:
            self._held.set()
        else:
            self._held.clear()
        self.allow_runs(is_held)

    async def wait_until_held(self) -> None:
        """Return once this node may claim."""
        await self._held.wait()

    async def claim(self, seqs: Sequence[int]) -> list[Download]:
        """Assign waiting downloads to runs once the lease is held; see `Records.claim`."""
        await self._held.wait()
        return await self._records.claim(seqs)
