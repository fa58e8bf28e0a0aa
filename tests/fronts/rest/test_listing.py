"""Pages of active downloads."""

import json
from typing import Any

from support.sample_downloads import sample_download
from support.served_api import ServedApi

from downloadd.records.protocol import ActiveFilter
from downloadd.states import State


async def page(api: ServedApi, target: str) -> tuple[list[str], str]:
    status, fields, body = await api.raw("GET", target)
    assert status == 200, body
    entries: list[dict[str, Any]] = json.loads(body)["downloads"]
    return [entry["id"] for entry in entries], fields.get("Link", "")


async def test_a_page_ends_with_a_link_to_the_next_one_until_there_is_none(api: ServedApi) -> None:
    ids = [api.manager.add(sample_download(number)).id for number in range(5)]
    seen: list[str] = []
    target = "/api/v1/downloads?limit=2"
    while target:
        some, link = await page(api, target)
        seen += some
        target = link.partition(">")[0].lstrip("<")
    assert seen == ids


async def test_the_filters_reach_the_manager(api: ServedApi) -> None:
    await page(api, "/d/e?downloads=&status=paused&limit=7&cursor=3")
    assert api.manager.filters == [
        ActiveFilter(directory="d/e", states=frozenset({State.PAUSED}), after_seq=3, limit=8)
    ]


async def test_a_full_last_page_has_no_link(api: ServedApi) -> None:
    for number in range(2):
        api.manager.add(sample_download(number))
    assert (await page(api, "/api/v1/downloads?limit=2"))[1] == ""
