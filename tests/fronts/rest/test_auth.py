"""Authentication: credentials, contradictions between them, and permissions on each route."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from multidict import CIMultiDict, CIMultiDictProxy
from support.served_api import TOKEN, ServedApi, user

from downloadd.fronts.rest.auth import Accounts
from downloadd.users import Permission

BEARER = f"Authorization: Bearer {TOKEN}"
PAIR = ("X-User-Id: alice", f"X-Auth-Token: {TOKEN}")

UNAUTHORIZED = {"success": False, "error": "unauthorized"}
NOT_PERMITTED = {
    "success": False,
    "error": "User does not have the permissions required for this action [error-unauthorized]",
}


async def send_request(
    api: ServedApi, *fields: str, target: str = "/api/v1/downloads", method: str = "GET"
) -> tuple[int, dict[str, str], Any]:
    request = "\r\n".join((f"{method} {target} HTTP/1.1", "Host: api", *fields, "Connection: close", "", ""))
    head, _, body = (await api.exchange(request.encode("latin-1"))).partition(b"\r\n\r\n")
    status, *rest = head.decode().split("\r\n")
    answered = dict(line.split(": ", 1) for line in rest)
    is_json = bool(body) and answered["Content-Type"] == "application/json"
    return int(status.split()[1]), answered, json.loads(body) if is_json else None


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param((BEARER,), id="bearer"),
        pytest.param((f"authorization: bEaReR {TOKEN}",), id="scheme-in-another-case"),
        pytest.param((f"Authorization: Bearer   {TOKEN}  ",), id="blanks"),
        pytest.param(PAIR, id="pair"),
        pytest.param((BEARER, *PAIR), id="both"),
    ],
)
async def test_valid_credentials_are_accepted(api: ServedApi, fields: tuple[str, ...]) -> None:
    assert (await send_request(api, *fields))[0] == 200


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param((), id="none"),
        pytest.param(("Authorization: Bearer wrong",), id="wrong-token"),
        pytest.param(("Authorization: Bearer ",), id="empty-token"),
        pytest.param(("Authorization: Bearer",), id="scheme-alone"),
        pytest.param((f"Authorization: {TOKEN}",), id="token-alone"),
        pytest.param((f"Authorization: Basic {TOKEN}",), id="another-scheme"),
        pytest.param((f"Authorization: Bearer {TOKEN}x",), id="longer-token"),
        pytest.param((f"Authorization: Bearer {TOKEN[:-1]}",), id="shorter-token"),
        pytest.param((f"Authorization: Bearer {TOKEN.upper()}",), id="token-in-another-case"),
        pytest.param(("Authorization: Bearer \xff\xfe",), id="no-ascii"),
        pytest.param((BEARER, BEARER), id="twice"),
        pytest.param((BEARER, "Authorization: Bearer wrong"), id="right-and-wrong"),
        pytest.param(PAIR[:1], id="id-alone"),
        pytest.param(PAIR[1:], id="token-field-alone"),
        pytest.param(("X-User-Id: victor", PAIR[1]), id="id-of-another"),
        pytest.param(("X-User-Id: nobody", PAIR[1]), id="unknown-id"),
        pytest.param(("X-User-Id: Alice", PAIR[1]), id="id-in-another-case"),
        pytest.param((PAIR[0], "X-Auth-Token: wrong"), id="wrong-pair"),
        pytest.param((*PAIR, PAIR[0]), id="id-twice"),
        pytest.param((BEARER, PAIR[0]), id="bearer-and-half-a-pair"),
        pytest.param((BEARER, PAIR[0], "X-Auth-Token: wrong"), id="bearer-and-a-wrong-pair"),
        pytest.param(("Authorization: Bearer wrong", *PAIR), id="pair-and-a-wrong-bearer"),
        pytest.param((BEARER, "X-User-Id: victor", "X-Auth-Token: may-look"), id="two-users"),
        pytest.param((f"Cookie: token={TOKEN}",), id="cookie"),
    ],
)
async def test_anything_else_is_unauthorized(api: ServedApi, fields: tuple[str, ...]) -> None:
    status, answered, body = await send_request(api, *fields)
    assert (status, answered["WWW-Authenticate"], body) == (401, "Bearer", UNAUTHORIZED)


@pytest.mark.parametrize("name", ["token", "access_token", "X-Auth-Token", "Authorization"])
async def test_a_token_in_the_query_is_never_accepted(api: ServedApi, name: str) -> None:
    status, _, body = await send_request(api, target=f"/api/v1/downloads?{name}={TOKEN}")
    assert (status, body) == (401, UNAUTHORIZED)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(
            st.sampled_from(
                ["Authorization", "X-User-Id", "X-Auth-Token", "Idempotency-Key", "Last-Event-ID", "Expect"]
            ),
            st.text(st.characters(codec="latin-1", exclude_characters="\r\n\0"), max_size=30)
            | st.sampled_from(["Bearer ", "alice", f"Bearer {TOKEN}"]),
        ),
        max_size=4,
    )
)
async def test_any_field_gets_a_response(api: ServedApi, fields: list[tuple[str, str]]) -> None:
    status, answered, _ = await send_request(api, *(f"{name}: {value}" for name, value in fields))
    assert status in {200, 400, 401}
    assert answered["Content-Type"] == "application/json"


@given(st.dictionaries(st.sampled_from(["Authorization", "X-User-Id", "X-Auth-Token"]), st.text()))
def test_invalid_credentials_identify_no_user(fields: dict[str, str]) -> None:
    accounts = Accounts([user("alice", TOKEN, "download")])
    assert accounts.authenticate(CIMultiDictProxy(CIMultiDict(fields))) is None


def test_the_hash_of_an_empty_token_is_never_accepted() -> None:
    accounts = Accounts([user("empty", "", "download")])
    for fields in ({"Authorization": "Bearer "}, {"X-User-Id": "empty", "X-Auth-Token": ""}):
        assert accounts.authenticate(CIMultiDictProxy(CIMultiDict(fields))) is None


def test_new_users_are_accepted_and_removed_ones_are_not() -> None:
    accounts = Accounts([user("alice", TOKEN, "download")])
    fields = CIMultiDictProxy(CIMultiDict({"Authorization": f"Bearer {TOKEN}"}))
    accounts.replace([user("bob", "another", "download")])
    assert accounts.authenticate(fields) is None
    accounts.replace([user("bob", TOKEN, "view-downloads")])
    authenticated = accounts.authenticate(fields)
    assert authenticated is not None
    assert (
        authenticated.id,
        authenticated.has_permission(Permission.DOWNLOAD),
        authenticated.has_permission(Permission.VIEW_DOWNLOADS),
    ) == (
        "bob",
        False,
        True,
    )


ID = "7a3f8b12-4d5e-4a1b-9c8f-2e6d7f8a9b0c"
EVERY_ROUTE = [
    ("GET", "/d?download=http%3A%2F%2Fa.example%2F", Permission.DOWNLOAD),
    ("GET", "/d?downloads=", Permission.VIEW_DOWNLOADS),
    ("HEAD", "/d?downloads=", Permission.VIEW_DOWNLOADS),
    ("GET", "/?download_history=", Permission.VIEW_DOWNLOADS),
    ("DELETE", "/?download_history=", Permission.DOWNLOAD),
    ("POST", "/api/v1/storage/accept", Permission.DOWNLOAD),
    ("GET", "/api/v1/downloads", Permission.VIEW_DOWNLOADS),
    ("POST", "/api/v1/downloads", Permission.DOWNLOAD),
    ("GET", f"/api/v1/downloads/{ID}", Permission.VIEW_DOWNLOADS),
    ("DELETE", f"/api/v1/downloads/{ID}", Permission.DOWNLOAD),
    ("PATCH", f"/api/v1/downloads/{ID}", Permission.DOWNLOAD),
    ("POST", f"/api/v1/downloads/{ID}/pause", Permission.DOWNLOAD),
    ("POST", f"/api/v1/downloads/{ID}/resume", Permission.DOWNLOAD),
    ("POST", f"/api/v1/downloads/{ID}/retry", Permission.DOWNLOAD),
    ("GET", "/api/v1/events", Permission.VIEW_DOWNLOADS),
    ("GET", "/api/v1/metrics", Permission.VIEW_DOWNLOADS),
    ("GET", "/api/v1/directories", Permission.VIEW_DOWNLOADS),
    ("GET", "/api/v1/errors", None),
    ("GET", "/api/v1/openapi.json", None),
]


@pytest.mark.parametrize(("method", "target", "permission"), EVERY_ROUTE)
async def test_every_route_requires_a_token_and_its_permission(
    api: ServedApi, method: str, target: str, permission: Permission | None
) -> None:
    status, fields, body = await send_request(api, method=method, target=target)
    assert (status, fields["WWW-Authenticate"]) == (401, "Bearer")
    assert body == (None if method == "HEAD" else UNAUTHORIZED)
    for token in ("may-look", "may-import"):
        lacks = permission is not None and (token == "may-import" or permission is Permission.DOWNLOAD)
        if not lacks and "events" in target:
            continue
        status, _, body = await send_request(api, f"Authorization: Bearer {token}", method=method, target=target)
        if lacks:
            assert status == 403
            assert body == (None if method == "HEAD" else NOT_PERMITTED)
        else:
            assert status in {200, 404}


async def test_permission_comes_before_allow_download(api: ServedApi) -> None:
    api.allow_downloads(False)
    status, _, body = await send_request(
        api, "Authorization: Bearer may-look", target="/d?download=http%3A%2F%2Fa.example%2F"
    )
    assert (status, body) == (403, NOT_PERMITTED)


async def test_health_needs_no_token(api: ServedApi) -> None:
    status, _, body = await send_request(api, target="/api/v1/health")
    assert (status, body["status"]) == (200, "ok")


async def test_the_user_of_a_download_is_the_one_who_requested_it(api: ServedApi) -> None:
    await send_request(api, *PAIR, target="/d?download=http%3A%2F%2Fa.example%2F")
    (download,) = api.manager.downloads.values()
    assert download.user == "alice"


def test_a_token_alone_finds_its_user() -> None:
    accounts = Accounts([user("alice", TOKEN, "download"), user("nobody", "", "download")])
    found = accounts.find_by_token(TOKEN)
    assert found is not None
    assert found.id == "alice"
    assert [accounts.find_by_token(token) for token in ("", "wrong", f" {TOKEN}", TOKEN.upper())] == [None] * 4
