"""Listing of the nodes."""

import json

from support.node_reports import node_report
from support.served_api import ServedApi

from downloadd.node import Node


async def test_nodes_are_listed_with_the_settings_in_which_they_differ(api: ServedApi) -> None:
    beta = node_report(name="beta", is_draining=True, settings={"max_per_host": "2"})
    api.nodes = [
        Node(report=node_report(running=2, speed=30), last_seen=1700000012.9),
        Node(report=beta, last_seen=1.0),
    ]
    status, _, body = await api.raw("GET", "/api/v1/nodes")
    first, second = json.loads(body)["nodes"]
    assert (status, first) == (
        200,
        {
            "node": "alpha",
            "url": "http://alpha.example:8080",
            "version": "1.0",
            "state": "up",
            "running": 2,
            "speed": 30,
            "last_seen": 1700000012,
            "differs": [],
        },
    )
    assert (second["state"], second["differs"]) == ("draining", ["max_per_host"])
