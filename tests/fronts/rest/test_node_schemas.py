"""Structs of the answer about nodes."""

import msgspec

from downloadd.fronts.rest.node_schemas import NodeEntry, Nodes
from downloadd.node import NodeState


def test_an_answer_survives_json() -> None:
    entry = NodeEntry(
        node="alpha", url="u", version="1", state=NodeState.UP, running=1, speed=2, last_seen=3, differs=["min_free"]
    )
    answer = Nodes(nodes=[entry])
    assert msgspec.json.decode(msgspec.json.encode(answer), type=Nodes) == answer
