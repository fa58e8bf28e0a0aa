"""Structs of the answer about nodes; see `schemas`.

Pure: no I/O and no clock.
"""

from typing import Annotated

import msgspec
from msgspec import Meta

from downloadd.node import NodeState


class NodeEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A daemon that uses the database; the only one if the records are an SQLite file."""

    node: Annotated[str, Meta(description="Its name.")]
    url: Annotated[str, Meta(description="Address of its API, as it knows it.")]
    version: str
    state: Annotated[
        NodeState,
        Meta(description="`up`; `draining`: it stops; `gone`: its last heartbeat is older than its lease."),
    ]
    running: Annotated[int, Meta(description="Number of its running downloads.")]
    speed: Annotated[int, Meta(description="Bytes a second of them together.")]
    last_seen: Annotated[int, Meta(description="Unix seconds of the last heartbeat, by the clock of the database.")]
    differs: Annotated[
        list[str],
        Meta(description="Settings that should be the same on all nodes, and are not those of most living ones."),
    ]


class Nodes(msgspec.Struct, frozen=True, kw_only=True):
    """The nodes, ordered by name; one that ended without leaving is listed for a day."""

    nodes: list[NodeEntry]
