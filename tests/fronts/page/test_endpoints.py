"""Handlers of the page, in this process."""

from collections.abc import AsyncIterator

import pytest
from support.served_api import ServedApi

from downloadd.fronts.page.assets import INDEX, STATES_MODULE, load_assets, render_states_module


@pytest.fixture
async def api() -> AsyncIterator[ServedApi]:
    api = ServedApi()
    async with api.client:
        yield api


@pytest.fixture
def names() -> list[str]:
    return sorted(set(load_assets()) - {INDEX})


async def test_the_page_is_served_without_a_token_and_with_a_strict_policy(api: ServedApi) -> None:
    async with api.client.get("/", headers={"Authorization": ""}) as response:
        assert (response.status, response.content_type) == (200, "text/html")
        assert "default-src 'none'" in response.headers["Content-Security-Policy"]
        assert "unsafe-inline" not in response.headers["Content-Security-Policy"]
        assert response.headers["Cache-Control"] == "no-cache"


async def test_a_file_that_has_not_changed_is_not_sent_again(api: ServedApi, names: list[str]) -> None:
    for name in names:
        path = f"/api/v1/page/{name}"
        async with api.client.get(path) as response:
            tag = response.headers["ETag"]
            assert (response.status, await response.read() != b"") == (200, True)
        for field in (tag, f'"other", {tag}', f"W/{tag}"):
            async with api.client.get(path, headers={"If-None-Match": field}) as response:
                assert (response.status, await response.read()) == (304, b"")
        async with api.client.get(path, headers={"If-None-Match": '"other"'}) as response:
            assert response.status == 200


async def test_another_file_does_not_exist(api: ServedApi) -> None:
    status, _, body = await api.raw("GET", "/api/v1/page/..%2Fassets.py")
    assert (status, b"NOT_FOUND" in body) == (404, True)


async def test_the_table_of_states_is_served_as_a_module(api: ServedApi) -> None:
    async with api.client.get(f"/api/v1/page/{STATES_MODULE}") as response:
        assert response.content_type == "text/javascript"
        assert await response.read() == render_states_module()


async def test_a_file_that_is_not_listed_does_not_exist(api: ServedApi) -> None:
    for name in ("package.json", "missing.js"):
        async with api.client.get(f"/api/v1/page/{name}") as response:
            assert response.status == 404
