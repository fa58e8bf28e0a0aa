"""`POST /api/v1/explain`: its answer and its errors; the origin is not asked."""

from typing import Any

import pytest
from support.served_api import ServedApi

from downloadd.config import RuleConfig

BODY = {"url": "https://ann:hush@files.example.com/a/image.iso?token=hush", "directory": "inbox"}


async def post(api: ServedApi, body: Any, token: str = "open-sesame") -> tuple[int, dict[str, Any]]:
    headers = {"Authorization": f"Bearer {token}"}
    async with api.client.post("/api/v1/explain", json=body, headers=headers) as response:
        return response.status, await response.json()


async def test_the_answer_has_all_decisions(api: ServedApi) -> None:
    api.rules.append(RuleConfig(name="films", types=("video/*",), min_size=1, save_to="films"))
    api.rules.append(RuleConfig(name="images", extensions=("iso",), save_to="{directory}/{host}", priority=-5))
    api.hooks.append("scan")
    status, answer = await post(api, BODY)
    assert (status, answer) == (
        200,
        {
            "allowed": True,
            "error": None,
            "detail": None,
            "rule": "images",
            "alternatives": [
                {
                    "rule": "films",
                    "types": ["video/*"],
                    "min_size": 1,
                    "max_size": 0,
                    "directory": "films",
                    "file_path": "films/image.iso",
                    "conflict": "rename",
                    "skip_same": False,
                    "priority": 0,
                    "speed_limit": 0,
                    "segments": 1,
                    "max_retries": None,
                    "quotas": [],
                    "hooks": ["scan"],
                }
            ],
            "directory": "inbox/files.example.com",
            "filename": "image.iso",
            "file_path": "inbox/files.example.com/image.iso",
            "conflict": "rename",
            "skip_same": False,
            "priority": -5,
            "speed_limit": 0,
            "segments": 1,
            "timeout": 300,
            "max_retries": None,
            "proxy": None,
            "credentials": False,
            "max_per_host": 16,
            "max_concurrent": 64,
            "quotas": [],
            "hooks": ["scan"],
            "success": True,
        },
    )
    assert api.manager.downloads == {}
    assert api.prober.requests == []


async def test_a_refusal_is_an_answer_with_its_reason(api: ServedApi) -> None:
    status, answer = await post(api, {"url": "ftp://files.example.com/a"})
    assert (status, answer["allowed"], answer["error"], answer["success"]) == (200, False, "INVALID_URL", True)
    assert answer["detail"]


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ({}, "url"),
        ({"url": "https://h/a", "colour": "red"}, "colour"),
        ({"url": "https://h/a", "segments": 99}, "segments"),
    ],
)
async def test_an_invalid_body_is_refused_with_the_parameter(api: ServedApi, body: Any, detail: str) -> None:
    status, answer = await post(api, body)
    assert (status, answer["error"]) == (400, "INVALID_PARAMETER")
    assert detail in answer["detail"]


@pytest.mark.parametrize("token", ["may-look", "may-import"])
async def test_a_user_without_the_permission_gets_no_answer(api: ServedApi, token: str) -> None:
    assert (await post(api, BODY, token))[0] == 403


async def test_a_daemon_that_may_not_fetch_says_so(api: ServedApi) -> None:
    api.allow_downloads(False)
    status, answer = await post(api, BODY)
    assert (status, answer["error"]) == (403, "DOWNLOAD_FORBIDDEN")
