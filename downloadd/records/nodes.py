"""Records of the nodes that share the store."""

from collections.abc import Sequence
from typing import Protocol

from downloadd.clock import Clock
from downloadd.node import LiveRun, Node, NodeReport, RemoteRun


class NodeRecords(Protocol):
    """Registry of the nodes. All times are by the clock of the store.

    Raises:
        StoreUnavailableError: the store cannot be used at the moment.
    """

    @property
    def needs_heartbeats(self) -> bool:
        """Return False if this node is the only one that can use the store."""
        ...

    async def register(self, report: NodeReport, *, is_start: bool) -> Node | None:
        """Register a node; return None, or else the node that has the name and lives.

        At the start of a daemon, a node with the same state directory is replaced although it counts as living: it was
        killed, because a running daemon locks the directory.
        """
        ...

    async def beat(self, report: NodeReport, runs: Sequence[LiveRun] = ()) -> bool:
        """Record a heartbeat with a report and the runs of the node.

        Returns:
            False if the name no longer belongs to this session of the node.
        """
        ...

    async def other_runs(self) -> Sequence[RemoteRun]:
        """Return the runs of all living nodes but this one, as they reported them last."""
        ...

    async def leave(self, report: NodeReport) -> None:
        """Remove a node that ends, unless its name belongs to another session."""
        ...

    async def list(self) -> Sequence[Node]:
        """Return all nodes by name, those included that are gone for less than a day."""
        ...


class SoleNode:
    """`NodeRecords` of a store that only this node can use: in memory, without heartbeats."""

    needs_heartbeats = False

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._report: NodeReport | None = None

    async def register(self, report: NodeReport, *, is_start: bool) -> Node | None:
        """Register the node; see `NodeRecords.register`."""
        self._report = report
        return None

    async def beat(self, report: NodeReport, runs: Sequence[LiveRun] = ()) -> bool:
        """Replace the report; see `NodeRecords.beat`."""
        if self._report is None or self._report.session != report.session:
            return False
        self._report = report
        return True

    async def other_runs(self) -> Sequence[RemoteRun]:
        """Return no runs; see `NodeRecords.other_runs`."""
        return ()

    async def leave(self, report: NodeReport) -> None:
        """Remove the node; see `NodeRecords.leave`."""
        if self._report is not None and self._report.session == report.session:
            self._report = None

    async def list(self) -> Sequence[Node]:
        """Return the node; see `NodeRecords.list`."""
        return [] if self._report is None else [Node(report=self._report, last_seen=self._clock.wall())]
