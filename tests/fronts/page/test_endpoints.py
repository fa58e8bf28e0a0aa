"""Endpoints of the page, in this process."""

from collections.abc import AsyncIterator

import pytest
from support.served_api import ServedApi

from downloadd.fronts.page.assets import STATES_MODULE, render_states_module


@pytest.fixture
async def api() -> AsyncIterator[ServedApi]:
    api = ServedApi()
    async with api.client:
        yield api


async def test_the_page_and_its_files_need_no_token(api: ServedApi) -> None:
    for path, media_type in (("/", "text/html"), ("/api/v1/page/app.js", "text/javascript")):
        async with api.client.get(path, headers={"Authorization": ""}) as response:
            assert (response.status, response.content_type) == (200, media_type)
            assert "default-src 'none'" in response.headers["Content-Security-Policy"]


async def test_the_table_of_states_is_served_as_a_module(api: ServedApi) -> None:
    async with api.client.get(f"/api/v1/page/{STATES_MODULE}") as response:
        assert response.content_type == "text/javascript"
        assert await response.read() == render_states_module()


async def test_an_unchanged_file_is_not_sent_again(api: ServedApi) -> None:
    async with api.client.get("/api/v1/page/app.js") as response:
        tag = response.headers["ETag"]
    async with api.client.get("/api/v1/page/app.js", headers={"If-None-Match": f'"x", W/{tag}'}) as response:
        assert (response.status, await response.read()) == (304, b"")


async def test_there_is_no_other_file(api: ServedApi) -> None:
    for name in ("package.json", "missing.js"):
        async with api.client.get(f"/api/v1/page/{name}") as response:
            assert response.status == 404
