"""Speed limit over all downloads of all nodes, of which each node has a share in proportion to what it runs."""

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from typing import Final

from downloadd.errors import DownloadError
from downloadd.manager.rate_limit import TokenBucket
from downloadd.manager.run_table import RunTable
from downloadd.node import Node
from downloadd.records.nodes import NodeRecords

MIN_CHANGE: Final = 0.01
"""Part of the share by which another one differs at least: a change interrupts the refill of the bucket."""


class SpeedLimit:
    """Limit over all nodes, and the bucket of the share of this one.

    Attributes:
        bucket: grants the bytes of this node.
    """

    def __init__(self, limit: int) -> None:
        """`limit` in bytes a second; 0 for none."""
        self.bucket = TokenBucket(limit)
        self._limit = limit
        self._share = 1.0

    @property
    def limit(self) -> int:
        """Return the limit over all nodes in bytes a second; 0 for none."""
        return self._limit

    @limit.setter
    def limit(self, limit: int) -> None:
        self._limit = limit
        self._apply()

    @property
    def share(self) -> float:
        """Return the part of the limit that this node may use."""
        return self._share

    def set_share(self, share: float) -> None:
        """Set the part of the limit, above 0 and up to 1, that this node may use."""
        if abs(share - self._share) >= MIN_CHANGE * self._share:
            self._share = share
            self._apply()

    def _apply(self) -> None:
        # 0 would be no limit.
        self.bucket.rate = max(1, int(self._limit * self._share)) if self._limit else 0


class SpeedShare:
    """Sets the share of this node as often as it sends heartbeats."""

    def __init__(self, limit: SpeedLimit, records: NodeRecords, runs: RunTable, *, node: str, interval: float) -> None:
        """Take the parts; `node` is the name of this node, `interval` the seconds between two reads."""
        self._limit = limit
        self._records = records
        self._runs = runs
        self._node = node
        self._interval = interval

    async def watch(self) -> None:
        """Set the share until cancelled; without a limit, or another node, there is nothing to share."""
        if not self._records.needs_heartbeats:
            return
        while True:
            if self._limit.limit:
                # The share of a node that is cut off stays: the others count it until its lease is over.
                with suppress(DownloadError):
                    await self.update()
            await asyncio.sleep(self._interval)

    async def update(self) -> None:
        """Set the share by what all living nodes run now."""
        nodes = await self._records.list()
        self._limit.set_share(share_of(len(self._runs), (node for node in nodes if node.report.name != self._node)))


def share_of(running: int, others: Iterable[Node]) -> float:
    """Return the share of a node that runs `running` downloads beside other nodes.

    One that runs none has the share of one download, for the next that it starts: until the others know of it, all
    together exceed the limit by that.
    """
    own = max(1, running)
    return own / (own + sum(node.report.running for node in others if not node.is_gone))
