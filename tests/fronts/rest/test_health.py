"""Health, error table and metrics."""

import json

import pytest
from support.sample_downloads import sample_download
from support.served_api import ServedApi

from downloadd import __version__
from downloadd.errors import ERRORS, DownloadError, ShuttingDownError, StoreUnavailableError


async def test_health_needs_no_token(api: ServedApi) -> None:
    async with api.client.get("/api/v1/health", headers={"Authorization": ""}) as response:
        assert (response.status, await response.json()) == (
            200,
            {"status": "ok", "version": __version__, "storage": "ok"},
        )


async def test_health_has_the_reason_why_no_download_starts_until_the_storage_is_accepted(api: ServedApi) -> None:
    api.storage.problem = "the storage root is gone"
    async with api.client.get("/api/v1/health", headers={"Authorization": ""}) as response:
        assert (response.status, (await response.json())["storage"]) == (200, "the storage root is gone")
    async with api.client.post("/api/v1/storage/accept") as response:
        assert await response.json() == {
            "filesystem": "ext4",
            "device": "8:1",
            "success": True,
            "message": "The storage root is used from now on",
        }
    async with api.client.get("/api/v1/health") as response:
        assert (await response.json())["storage"] == "ok"


@pytest.mark.parametrize(
    "problem", [StoreUnavailableError("the node alpha lost its lease"), ShuttingDownError()], ids=["lease", "draining"]
)
async def test_a_node_that_does_not_work_has_no_health(api: ServedApi, problem: DownloadError) -> None:
    api.node_problem = problem
    async with api.client.get("/api/v1/health", headers={"Authorization": ""}) as response:
        assert response.status == 503
        assert response.headers["Retry-After"] == "5"
        body = await response.json()
        assert (body["error"], body["detail"]) == (problem.code, problem.detail)


async def test_the_error_table_has_every_code(api: ServedApi) -> None:
    _, _, body = await api.raw("GET", "/api/v1/errors")
    assert [row["code"] for row in json.loads(body)["errors"]] == list(ERRORS)


@pytest.mark.parametrize("accept", ["", "application/openmetrics-text"])
async def test_metrics_are_rendered_with_the_present_gauges_as_the_client_accepts(api: ServedApi, accept: str) -> None:
    api.manager.add(sample_download())
    status, fields, body = await api.raw("GET", "/api/v1/metrics", f"Accept: {accept}")
    assert (status, body) == (200, b"queued 1\n")
    assert fields["Content-Type"].startswith(accept or "text/plain")
