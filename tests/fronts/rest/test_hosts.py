"""Listing of the origins in use or in trouble."""

import json

import pytest
from support.served_api import ServedApi

from downloadd.manager.queue_report import OriginState, OriginStatus

DOWN = OriginStatus(
    origin="http://down.example:81",
    state=OriginState.OPEN,
    running=0,
    waiting=60,
    slots=16,
    failures=3,
    next_attempt=1700000012.3,
    error="the connection failed: Connection refused",
)
HEALTHY = OriginStatus(
    origin="https://example.com",
    state=OriginState.HEALTHY,
    running=2,
    waiting=0,
    slots=16,
    failures=0,
    next_attempt=None,
    error=None,
)


@pytest.mark.parametrize(("query", "count"), [("", 2), ("?limit=1", 1)])
async def test_hosts_are_listed(api: ServedApi, query: str, count: int) -> None:
    api.manager.origin_statuses = [DOWN, HEALTHY]
    status, _, body = await api.raw("GET", f"/api/v1/hosts{query}")
    listed = json.loads(body)
    assert (status, listed["total"], len(listed["hosts"])) == (200, 2, count)
    assert listed["hosts"][0] == {
        "origin": "http://down.example:81",
        "state": "open",
        "running": 0,
        "waiting": 60,
        "slots": 16,
        "failures": 3,
        "next_attempt": 1700000013,
        "error": "the connection failed: Connection refused",
    }


async def test_a_limit_out_of_range_is_refused(api: ServedApi) -> None:
    assert (await api.raw("GET", "/api/v1/hosts?limit=0"))[0] == 400
