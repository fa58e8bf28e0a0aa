"""`/api/v1/users`."""

from typing import Any

import pytest
from support.served_api import ADMIN_TOKEN, ServedApi
from support.served_api import TOKEN as DOWNLOADER_TOKEN

PATH = "/api/v1/users"
ADMIN = {"Authorization": f"Bearer {ADMIN_TOKEN}"}


async def send(api: ServedApi, method: str, path: str = PATH, **options: Any) -> tuple[int, Any]:
    async with api.client.request(method, path, **{"headers": ADMIN, **options}) as response:
        return response.status, await response.json()


async def test_a_user_is_created_listed_rotated_and_revoked_and_its_tokens_are_shown_once(api: ServedApi) -> None:
    status, made = await send(api, "POST", json={"id": "bob", "permissions": ["read-files"]})
    token = made.pop("token")
    entry = {"id": "bob", "permissions": ["read-files"], "kind": "made"}
    message = "the token is not shown again"
    assert (status, made) == (201, entry | {"success": True, "message": f"User created; {message}"})
    assert token == api.users.users["bob"].token
    assert (await send(api, "GET"))[1]["users"][-1] == entry
    status, rotated = await send(api, "POST", f"{PATH}/bob/rotate")
    assert rotated.pop("token") not in {token, ""}
    assert (status, rotated) == (200, entry | {"success": True, "message": f"Token replaced; {message}"})
    assert await send(api, "DELETE", f"{PATH}/bob") == (200, {"id": "bob", "success": True, "message": "User removed"})
    assert [user["id"] for user in (await send(api, "GET"))[1]["users"]] == ["ada", "alice"]


async def test_the_default_permissions_start_and_view_downloads(api: ServedApi) -> None:
    assert (await send(api, "POST", json={"id": "team/ann"}))[1]["permissions"] == ["download", "view-downloads"]
    assert (await send(api, "DELETE", f"{PATH}/team%2Fann"))[1]["id"] == "team/ann"


async def test_an_answer_with_a_token_is_not_stored(api: ServedApi) -> None:
    async with api.client.post(PATH, json={"id": "bob"}, headers=ADMIN) as response:
        assert "no-store" in response.headers["Cache-Control"]


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "error", "detail"),
    [
        ("POST", "", {"id": "a b"}, 400, "INVALID_PARAMETER", "id"),
        ("POST", "", {"id": "ann\n"}, 400, "INVALID_PARAMETER", "id"),
        ("POST", "", {"id": "bob", "permissions": []}, 400, "INVALID_PARAMETER", "permissions"),
        ("POST", "", {"id": "bob", "permissions": ["all"]}, 400, "INVALID_PARAMETER", "permissions"),
        ("POST", "", {"id": "bob", "token": "x"}, 400, "INVALID_PARAMETER", "token"),
        ("POST", "", {"id": "alice"}, 409, "INVALID_STATE", "there is a user alice already"),
        ("POST", "/alice/rotate", None, 409, "INVALID_STATE", "is a user of the configuration"),
        ("DELETE", "/alice", None, 409, "INVALID_STATE", "is a user of the configuration"),
        ("DELETE", "/ada", None, 409, "INVALID_STATE", "cannot revoke itself"),
        ("DELETE", "/zoe", None, 404, "NOT_FOUND", "there is no user zoe"),
        ("POST", "/%ff%00/rotate", None, 404, "NOT_FOUND", "there is no user"),
    ],
)
async def test_what_cannot_be_done_is_refused_with_a_sentence(
    api: ServedApi, method: str, path: str, body: Any, status: int, error: str, detail: str
) -> None:
    answer = await send(api, method, f"{PATH}{path}", **({} if body is None else {"json": body}))
    assert (answer[0], answer[1]["error"]) == (status, error)
    assert detail in answer[1]["detail"]
    assert api.users.users == {}


async def test_a_user_without_the_permission_is_refused(api: ServedApi) -> None:
    downloader = {"Authorization": f"Bearer {DOWNLOADER_TOKEN}"}
    for method, path in (("GET", ""), ("POST", ""), ("POST", "/bob/rotate"), ("DELETE", "/bob")):
        assert (await send(api, method, f"{PATH}{path}", headers=downloader))[0] == 403
