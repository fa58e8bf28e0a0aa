"""Actions on the waiting list."""

from typing import Any

import pytest
from fronts.rest.test_downloads import send_json
from support.downloads import with_fields
from support.sample_downloads import sample_download
from support.served_api import ServedApi

from downloadd.download import Download
from downloadd.fronts.rest.queue_schemas import MoveTo
from downloadd.fronts.rest.waiting_list import NAMED_MOVES
from downloadd.states import State

ALL = "/api/v1/downloads"
UNKNOWN = "7a3f8b12-4d5e-4a1b-9c8f-2e6d7f8a9b0c"


@pytest.fixture
def rows(api: ServedApi) -> list[Download]:
    return [api.manager.add(sample_download(number)) for number in range(4)]


def order(api: ServedApi) -> list[int]:
    return sorted(range(4), key=lambda number: api.manager.downloads[sample_download(number).id].place)


@pytest.mark.parametrize(
    ("to", "position", "expected"),
    [
        ("top", 0, [2, 0, 1, 3]),
        ("up", 1, [0, 2, 1, 3]),
        ("down", 3, [0, 1, 3, 2]),
        ("bottom", 3, [0, 1, 3, 2]),
        (0, 0, [2, 0, 1, 3]),
        (99, 3, [0, 1, 3, 2]),
    ],
)
async def test_a_download_is_moved_to_a_word_or_an_index(
    api: ServedApi, rows: list[Download], to: str | int, position: int, expected: list[int]
) -> None:
    status, body = await send_json(api, "POST", f"{ALL}/{rows[2].id}/move", json={"to": to})
    assert (status, body["success"], body["message"], body["position"]) == (200, True, "Download moved", position)
    assert (body["id"], body["status"], body["place"]) == (rows[2].id, "queued", float(position))
    assert order(api) == expected


def test_every_word_is_a_move() -> None:
    assert set(NAMED_MOVES) == set(MoveTo)


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ({"to": "first"}, "to: expected one of top, up, down, bottom, an index"),
        ({"to": "0"}, "to: expected one of top, up, down, bottom, an index"),
        ({"to": -1}, "to: must be at least 0"),
        ({"to": 2**60}, "to: must be at most"),
        ({"to": 1.5}, "to: expected int | str, got float"),
        ({"to": None}, "to: expected int | str, got null"),
        ({"to": True}, "to: expected int | str, got bool"),
        ({}, "body: object missing required field to"),
        ({"to": 0, "from": 1}, "body: object contains unknown field from"),
        ([], "body: expected object, got array"),
    ],
)
async def test_a_wrong_place_is_explained(api: ServedApi, rows: list[Download], body: Any, detail: str) -> None:
    status, answer = await send_json(api, "POST", f"{ALL}/{rows[2].id}/move", json=body)
    assert (status, answer["error"]) == (400, "INVALID_PARAMETER")
    assert answer["detail"].startswith(detail)
    assert order(api) == [0, 1, 2, 3]


async def test_only_a_download_that_waits_is_moved(api: ServedApi, rows: list[Download]) -> None:
    running = api.manager.add(sample_download(7, state=State.DOWNLOADING))
    status, body = await send_json(api, "POST", f"{ALL}/{running.id}/move", json={"to": "top"})
    assert (status, body["error"]) == (409, "INVALID_STATE")
    assert "only a queued or paused one can be moved" in body["detail"]
    status, body = await send_json(api, "POST", f"{ALL}/{UNKNOWN}/move", json={"to": "top"})
    assert (status, body["error"]) == (404, "NOT_FOUND")


async def test_all_downloads_are_paused_and_resumed(api: ServedApi, rows: list[Download]) -> None:
    other = api.manager.add(sample_download(8, directory="not-for-alice"))
    status, body = await send_json(api, "POST", f"{ALL}/pause")
    assert (status, body) == (200, {"changed": 4, "success": True, "message": "Downloads paused"})
    assert api.manager.downloads[other.id].state is State.QUEUED
    status, body = await send_json(api, "POST", f"{ALL}/resume")
    assert (status, body) == (200, {"changed": 4, "success": True, "message": "Downloads resumed"})
    assert (await send_json(api, "POST", f"{ALL}/resume"))[1]["changed"] == 0
    api.allow_downloads(False)
    assert (await send_json(api, "POST", f"{ALL}/pause"))[0] == 200
    assert (await send_json(api, "POST", f"{ALL}/resume"))[0] == 403


async def test_a_batch_states_positions(api: ServedApi) -> None:
    items = [{"url": "https://a.example/1", "position": 0}, {"url": "https://a.example/2", "position": -1}]
    _, body = await send_json(api, "POST", ALL, json={"downloads": items})
    assert [one["error"] for one in body["downloads"]] == [None, "INVALID_PARAMETER"]
    assert [request.position for request in api.manager.requests] == [0, None]


async def test_the_place_of_a_moved_download_is_listed(api: ServedApi, rows: list[Download]) -> None:
    api.manager.downloads[rows[1].id] = with_fields(rows[1], place=0.5)
    _, body = await send_json(api, "GET", ALL)
    assert [entry["place"] for entry in body["downloads"]] == [1, 0.5, 3, 4]
