"""Assembly of the API: its parts share one table of routes, one base path and one end."""

import asyncio
import json
from typing import Any

from support.sample_downloads import sample_download
from support.served_api import ServedApi
from support.waiting import CONDITION_TIMEOUT

ID = sample_download().id


async def read_document(api: ServedApi, base_path: str = "") -> dict[str, Any]:
    async with api.client.get(f"{base_path}/api/v1/openapi.json") as response:
        assert response.status == 200
        return dict(await response.json())


async def test_every_operation_of_the_document_has_a_handler(api: ServedApi) -> None:
    api.manager.add(sample_download())
    document = await read_document(api)
    operations = [(method, path) for path, methods in document["paths"].items() for method in methods]
    assert ("get", "/api/v1/downloads/{id}") in operations
    for method, path in operations:
        if "text/event-stream" in json.dumps(document["paths"][path][method]):
            continue
        target = path.replace("{id}", ID).replace("{directory}", "d")
        if (method, path) == ("delete", "/"):
            target += "?download_history="
        status, _, body = await api.raw(method.upper(), target)
        # A malformed request is answered by a handler; a missing route by 404 or 405 with these texts.
        assert status not in {405, 500}, (method, path)
        assert b"this path does not exist" not in body, (method, path)


async def test_every_path_and_the_document_have_the_base_path() -> None:
    api = ServedApi(base_path="/fetch")
    async with api.client:
        document = await read_document(api, "/fetch")
        assert [server["url"] for server in document["servers"]] == ["/fetch"]
        assert (await api.raw("GET", "/fetch/api/v1/downloads"))[0] == 200
        assert (await api.raw("GET", "/fetch/d?downloads="))[0] == 200
        assert (await api.raw("GET", "/fetch/"))[0] == 200
        assert (await api.raw("GET", "/api/v1/downloads"))[0] == 404


async def test_every_response_is_counted_with_the_given_metrics(api: ServedApi) -> None:
    await api.raw("GET", "/api/v1/downloads")
    await api.raw("GET", "/api/v1/nothing")
    assert api.metrics.requests == [("GET", 200), ("GET", 404)]


async def test_the_end_of_long_lived_responses_releases_waits_and_event_streams(api: ServedApi) -> None:
    starting = asyncio.create_task(api.raw("GET", "/d?download=https%3A%2F%2Fa.example%2Ff&wait=60"))
    async with asyncio.timeout(CONDITION_TIMEOUT), api.client.get("/api/v1/events") as events:
        while not api.manager.downloads:
            await asyncio.sleep(0)
        api.close_long_lived()
        await events.content.read()
        status, _, body = await starting
    assert status == 201
    assert json.loads(body)["success"] is True
