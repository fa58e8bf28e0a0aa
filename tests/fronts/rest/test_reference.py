"""The page with the reference of the API."""

import re

import pytest
from support.served_api import ServedApi

from downloadd.fronts.rest.reference import ASSET_TYPES


async def get(api: ServedApi, path: str) -> tuple[int, dict[str, str], bytes]:
    async with api.client.get(path, headers={"Authorization": ""}) as response:
        return response.status, dict(response.headers), await response.read()


async def test_the_page_loads_its_own_files_alone(api: ServedApi) -> None:
    status, fields, body = await get(api, "/api/v1/docs")
    assert (status, fields["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert "default-src 'none'" in fields["Content-Security-Policy"]
    assert set(re.findall(rb'(?:href|src)="docs/([^"]+)"', body)) == {name.encode() for name in ASSET_TYPES}
    assert b"//" not in re.sub(rb"<!.*?>", b"", body)


@pytest.mark.parametrize("name", ASSET_TYPES)
async def test_every_file_is_served_without_a_token(api: ServedApi, name: str) -> None:
    status, fields, body = await get(api, f"/api/v1/docs/{name}")
    assert (status, fields["Content-Type"]) == (200, f"{ASSET_TYPES[name]}; charset=utf-8")
    assert body


async def test_the_document_is_in_the_script(api: ServedApi) -> None:
    _, _, document = await api.raw("GET", "/api/v1/openapi.json")
    _, _, script = await get(api, "/api/v1/docs/initialiser.js")
    assert document in script
    assert b"validatorUrl: null" in script


async def test_another_file_does_not_exist(api: ServedApi) -> None:
    for name in ("..%2Fapi.py", "swagger-ui.js", ""):
        assert (await get(api, f"/api/v1/docs/{name}"))[0] == 404
