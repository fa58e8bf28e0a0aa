"""A node: one of the daemons that share a database, as the others see it.

Pure: no I/O and no clock.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from enum import StrEnum

import msgspec

from downloadd.states import State


class NodeState(StrEnum):
    """State of a node."""

    UP = "up"
    DRAINING = "draining"
    """It stops: it begins nothing new."""
    GONE = "gone"
    """Its last heartbeat is older than its lease."""


class NodeReport(msgspec.Struct, frozen=True, kw_only=True):
    """Facts that a node reports about itself with each heartbeat."""

    name: str
    """The name, which one living node at a time has."""
    session: str
    """Id of this start of the daemon."""
    instance: str
    """Id of its state directory, which the next start proves to be the successor by."""
    url: str
    """Address of its API."""
    version: str
    boot: str | None
    """Id of the boot of its machine; None if it has none."""
    lease: float
    """Seconds without a heartbeat after which it counts as gone."""
    is_draining: bool = False
    running: int = 0
    """Number of its running downloads."""
    speed: int = 0
    """Bytes a second of them together."""
    settings: Mapping[str, str] = {}
    """Settings that all nodes should have in common, by name."""
    hooks: tuple[str, ...] = ()
    """Names of its hooks."""


class LiveRun(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A running download as its node sees it; finer than its row."""

    seq: int
    epoch: int
    state: State
    is_pausing: bool = False
    """True if a user wants it paused."""
    received: int = 0
    """Bytes."""
    total: int | None = None
    speed: float | None = None
    """Bytes a second; None while nothing is transferred."""
    eta: float | None = None
    """Seconds until the last byte at this speed; None if unknown."""
    connections: int = 0


class RemoteRun(msgspec.Struct, frozen=True, kw_only=True):
    """A running download of another node, as that reported it last."""

    node: str
    """Name of the node."""
    run: LiveRun


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """A node as the store knows it."""

    report: NodeReport
    """The last one that arrived."""
    last_seen: float
    """Unix time of the last heartbeat, by the clock of the store."""
    is_gone: bool = False
    """True if the lease was over when the store was read."""

    @property
    def state(self) -> NodeState:
        """Return the state."""
        if self.is_gone:
            return NodeState.GONE
        return NodeState.DRAINING if self.report.is_draining else NodeState.UP


def find_differences(nodes: Sequence[Node]) -> dict[str, list[str]]:
    """Return, by the name of each node, its settings that are not those of most living nodes, in order.

    Of two values that are as frequent, that of the node with the first name counts as that of most.
    """
    living = sorted((node.report for node in nodes if not node.is_gone), key=lambda report: report.name)
    names = sorted({name for report in living for name in report.settings})
    usual = {name: Counter(report.settings.get(name) for report in living).most_common(1)[0][0] for name in names}
    return {
        node.report.name: [name for name in names if node.report.settings.get(name) != usual[name]] for node in nodes
    }


def is_store_reporter(name: str, nodes: Sequence[Node]) -> bool:
    """Return True if the node of this name reports the numbers that are the same on all nodes.

    One living node does, the first by name, so that sums over the nodes are right.
    """
    return name == min((node.report.name for node in nodes if node.state is not NodeState.GONE), default=name)


def configured_hooks(nodes: Sequence[Node]) -> frozenset[str]:
    """Return the names of the hooks of all living nodes."""
    return frozenset(hook for node in nodes if node.state is not NodeState.GONE for hook in node.report.hooks)
