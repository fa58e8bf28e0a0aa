"""Reports of nodes for tests."""

from typing import Any

from msgspec.structs import replace

from downloadd.node import Node, NodeReport

_REPORT = NodeReport(
    name="alpha",
    session="session-1",
    instance="instance-1",
    url="http://alpha.example:8080",
    version="1.0",
    boot="boot-1",
    lease=15.0,
    settings={"max_per_host": "16"},
)


def node_report(**changes: Any) -> NodeReport:
    """Return a report with these fields changed."""
    return replace(_REPORT, **changes)


async def no_nodes() -> list[Node]:
    """Return no node."""
    return []
