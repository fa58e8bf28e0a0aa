"""Routing: permissions, and the order of the checks."""

import json

import pytest
from support.served_api import ServedApi

from downloadd.fronts.rest.responses import PERMISSION_MISSING

ONE = "/api/v1/downloads/7a3f8b12-4d5e-4a1b-9c8f-2e6d7f8a9b0c"

NEEDS_DOWNLOAD = [
    ("GET", "/d?download=https%3A%2F%2Fa.example%2F"),
    ("POST", "/api/v1/downloads"),
    ("DELETE", ONE),
    ("DELETE", "/?download_history="),
    ("POST", "/api/v1/storage/accept"),
    ("PATCH", ONE),
    ("POST", f"{ONE}/pause"),
    ("POST", f"{ONE}/resume"),
    ("POST", f"{ONE}/retry"),
]
NEEDS_VIEW = [
    ("GET", "/d?downloads="),
    ("GET", "/?download_history="),
    ("GET", "/api/v1/downloads"),
    ("GET", ONE),
    ("GET", "/api/v1/events"),
    ("GET", "/api/v1/metrics"),
    ("GET", "/api/v1/directories"),
]
REFUSED = {"success": False, "error": PERMISSION_MISSING}


async def request(api: ServedApi, method: str, target: str, token: str) -> tuple[int, bytes]:
    async with api.client.request(method, target, headers={"Authorization": f"Bearer {token}"}) as response:
        return response.status, b"" if response.content_type == "text/event-stream" else await response.read()


@pytest.mark.parametrize(("method", "target"), NEEDS_DOWNLOAD)
async def test_a_user_who_may_only_view_changes_nothing(api: ServedApi, method: str, target: str) -> None:
    status, body = await request(api, method, target, "may-look")
    assert (status, json.loads(body)) == (403, REFUSED)
    assert api.manager.requests == []


@pytest.mark.parametrize(("method", "target"), NEEDS_VIEW)
async def test_reading_needs_its_permission(api: ServedApi, method: str, target: str) -> None:
    status, body = await request(api, method, target, "may-import")
    assert (status, json.loads(body)) == (403, REFUSED)
    assert (await request(api, method, target, "may-look"))[0] in {200, 404}


@pytest.mark.parametrize(("method", "target"), [*NEEDS_DOWNLOAD, *NEEDS_VIEW])
async def test_without_a_valid_token_nothing_is_answered(api: ServedApi, method: str, target: str) -> None:
    status, body = await request(api, method, target, "wrong")
    assert (status, json.loads(body)) == (401, {"success": False, "error": "unauthorized"})


async def test_a_missing_permission_is_reported_before_the_query_the_body_and_the_launch_flag(api: ServedApi) -> None:
    api.allow_downloads(False)
    for method, target in (("GET", "/d?download=x&downloads="), ("POST", "/api/v1/downloads"), ("PATCH", ONE)):
        status, body = await request(api, method, target, "may-look")
        assert (status, json.loads(body)) == (403, REFUSED)


async def test_the_launch_flag_is_reported_before_the_body_and_the_id(api: ServedApi) -> None:
    api.allow_downloads(False)
    for target in ("/api/v1/downloads", "/api/v1/downloads/no-id/resume", "/api/v1/downloads/no-id/retry"):
        status, body = await request(api, "POST", target, "open-sesame")
        assert (status, json.loads(body)["error"]) == (403, "DOWNLOAD_FORBIDDEN")


@pytest.mark.parametrize(
    ("method", "target", "allow"),
    [
        ("POST", "/?download_history=", "DELETE, GET, HEAD"),
        ("POST", "/", "DELETE, GET, HEAD"),
        ("DELETE", "/d?download_history=", "GET, HEAD"),
        ("DELETE", "//?download_history=", "GET, HEAD"),
    ],
)
async def test_only_the_history_is_removed_by_a_query(api: ServedApi, method: str, target: str, allow: str) -> None:
    status, fields, _ = await api.raw(method, target)
    assert (status, fields["Allow"]) == (405, allow)
    assert api.history.filters == []


@pytest.mark.parametrize(
    "target", ["/", "/?status=failed", "/?downloads=", "/?download=x&download_history=", "/?download_history=x"]
)
async def test_nothing_is_removed_without_its_parameter(api: ServedApi, target: str) -> None:
    status, _, body = await api.raw("DELETE", target)
    assert (status, json.loads(body)["error"]) == (400, "INVALID_PARAMETER")
    assert api.history.filters == []


async def test_two_selectors_are_refused_with_the_names_of_both(api: ServedApi) -> None:
    status, _, body = await api.raw("GET", "/d?download=x&downloads=")
    detail = json.loads(body)["detail"]
    assert status == 400
    assert detail.startswith("downloads: cannot be combined with download;")


async def test_an_expectation_that_is_not_known_is_refused(api: ServedApi) -> None:
    status, _, body = await api.raw("GET", "/api/v1/health", "Expect: 200-maybe")
    assert (status, json.loads(body)["detail"].partition(":")[0]) == (400, "Expect")
