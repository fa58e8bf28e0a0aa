"""Pages of other origins and browser extensions that `server.allowed_origins` allows, with a token."""

from collections.abc import AsyncIterator

import pytest
from support.served_api import ServedApi

PAGE = "https://tools.example"
EXTENSION = "chrome-extension://abcdefghijklmnop"
CROSS_SITE = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"}


@pytest.fixture
async def api() -> AsyncIterator[ServedApi]:
    api = ServedApi(allowed_origins=(PAGE, EXTENSION))
    async with api.client:
        yield api


@pytest.mark.parametrize("origin", [PAGE, EXTENSION])
async def test_an_allowed_page_starts_a_download_after_its_preflight_request(api: ServedApi, origin: str) -> None:
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type"}
    fields = {"Origin": origin, **CROSS_SITE}
    async with api.client.options("/api/v1/downloads", headers={**fields, **asked, "Authorization": ""}) as response:
        assert (response.status, await response.read()) == (204, b"")
        assert response.headers["Access-Control-Allow-Origin"] == origin
        assert "POST" in response.headers["Access-Control-Allow-Methods"]
        assert response.headers["Access-Control-Allow-Headers"] == asked["Access-Control-Request-Headers"]
        assert "Access-Control-Allow-Credentials" not in response.headers
    body = {"downloads": [{"url": "https://a.example/f"}]}
    async with api.client.post("/api/v1/downloads", json=body, headers=fields) as response:
        assert response.status == 201
        assert response.headers["Access-Control-Allow-Origin"] == origin
        assert "Origin" in response.headers["Vary"]
    assert len(api.manager.requests) == 1


async def test_an_allowed_page_needs_a_token_and_reads_why_it_is_refused(api: ServedApi) -> None:
    fields = {"Origin": PAGE, **CROSS_SITE, "Authorization": "Bearer wrong"}
    async with api.client.post("/api/v1/downloads", json={}, headers=fields) as response:
        assert (response.status, response.headers["Access-Control-Allow-Origin"]) == (401, PAGE)
    async with api.client.get("/api/v1/downloads/x", headers={"Origin": PAGE, **CROSS_SITE}) as response:
        assert (response.status, response.headers["Access-Control-Allow-Origin"]) == (404, PAGE)


@pytest.mark.parametrize("origin", ["https://other.example", "null", "https://tools.example:444"])
async def test_another_page_is_refused_with_the_setting_that_allows_it(api: ServedApi, origin: str) -> None:
    fields = {"Origin": origin, **CROSS_SITE}
    for method, asked in (("POST", {}), ("OPTIONS", {"Access-Control-Request-Method": "POST"})):
        async with api.client.request(method, "/api/v1/downloads", headers={**fields, **asked}) as response:
            body = await response.json()
            assert (response.status, body["error"]) == (403, "CROSS_SITE_REQUEST")
            assert "server.allowed_origins" in body["detail"]
            assert "Access-Control-Allow-Origin" not in response.headers
    assert api.manager.requests == []


async def test_an_allowed_page_follows_events(api: ServedApi) -> None:
    async with api.client.get("/api/v1/events", headers={"Origin": PAGE, **CROSS_SITE}) as response:
        assert (response.status, response.headers["Access-Control-Allow-Origin"]) == (200, PAGE)


async def test_without_the_setting_no_page_of_another_origin_may_call() -> None:
    api = ServedApi()
    async with api.client:
        fields = {"Origin": PAGE, "Access-Control-Request-Method": "POST"}
        async with api.client.options("/api/v1/downloads", headers=fields) as response:
            assert response.status == 405
            assert "Access-Control-Allow-Origin" not in response.headers
        async with api.client.post("/api/v1/downloads", json={}, headers={"Origin": PAGE}) as response:
            assert response.status == 403
